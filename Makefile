# make demo: from nothing to three answers.  make test: the whole test suite.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TRITON_VENV := .venv-triton
TRITON_STAMP := $(TRITON_VENV)/.installed
STORAGE_VENV := .venv-storage
STORAGE_STAMP := $(STORAGE_VENV)/.installed
MXNET_VENV := .venv-mxnet
MXNET_STAMP := $(MXNET_VENV)/.installed
SAGEMAKER_VENV := .venv-sagemaker
SAGEMAKER_STAMP := $(SAGEMAKER_VENV)/.installed

.PHONY: install demo test images test-images triton storage mxnet sagemaker check format proto tables clean
.DELETE_ON_ERROR:

install: $(STAMP)

# pip compiles bytecode on one core; compileall takes all of them. As a variable the constraints hold
# for the build backend too.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "constraints.txt pins versions for Python 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --no-compile --editable '.[dev]'
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true  # a package may carry files for other Pythons
	@touch $@

demo: $(STAMP)
	$(BIN)/python demo.py

test: $(STAMP) $(TRITON_STAMP) $(STORAGE_STAMP) $(MXNET_STAMP) $(SAGEMAKER_STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 5

# Both images, by docker, podman or buildah; EXTRA=cpu, gpu or tensorrt. RUN_AS=0:0 is the trainer's user.
images:
	$(PYTHON) images.py $(if $(EXTRA),--extra $(EXTRA)) $(if $(BASE_IMAGE),--base_image $(BASE_IMAGE)) $(if $(SOURCE),--source $(SOURCE)) $(if $(RUN_AS),--run_as $(RUN_AS))

# Builds the images on a base that debootstrap makes, and runs them; as root, with buildah.
test-images: $(STAMP)
	$(BIN)/python -m pytest -m images tests/images

# The real tritonserver, which the tests marked `triton` compare this server with.
triton: $(TRITON_STAMP)

$(TRITON_STAMP): tests/triton/requirements.txt
	$(PYTHON) -m venv $(TRITON_VENV)
	$(TRITON_VENV)/bin/pip install --quiet --no-compile --no-deps --requirement tests/triton/requirements.txt
	@touch $@

# KServe's storage initializer and an S3 server, for the tests marked `storage`.
storage: $(STORAGE_STAMP)

$(STORAGE_STAMP): tests/storage/requirements.txt
	$(PYTHON) -m venv $(STORAGE_VENV)
	$(STORAGE_VENV)/bin/pip install --quiet --no-compile --no-deps --requirement tests/storage/requirements.txt
	@touch $@

# MXNet, which writes .rec files for the tests marked `mxnet`.
mxnet: $(MXNET_STAMP)

$(MXNET_STAMP): tests/mxnet/requirements.txt
	$(PYTHON) -m venv $(MXNET_VENV)
	$(MXNET_VENV)/bin/pip install --quiet --no-compile --no-deps --requirement tests/mxnet/requirements.txt
	@touch $@

# boto3 and SageMaker's record, for the tests marked `sagemaker`.
sagemaker: $(SAGEMAKER_STAMP)

$(SAGEMAKER_STAMP): tests/sagemaker/requirements.txt
	$(PYTHON) -m venv $(SAGEMAKER_VENV)
	$(SAGEMAKER_VENV)/bin/pip install --quiet --no-compile --no-deps --requirement tests/sagemaker/requirements.txt
	@touch $@

# kubectl, with which the tests render k8s/, for machines that have none; see the script.
.PHONY: kubectl
kubectl: .tools/kubectl

.tools/kubectl: tests/k8s/get_kubectl.sh
	bash $< $(@D)
	@touch $@

# grpcurl, with which they ask as docs/deploy.md does.
.PHONY: grpcurl
grpcurl: .tools/grpcurl
.tools/grpcurl: tests/k8s/get_grpcurl.sh $(STAMP)
	bash $< $(@D) $(BIN)/python
	@touch $@

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The gRPC messages, after a change of their .proto.
proto: $(STAMP)
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. server/protocol/oip.proto

# The tables of docs/flags.md and docs/sagemaker.md, after a change of an option.
tables: $(STAMP)
	$(BIN)/python -m tests.flags
	$(BIN)/python -m tests.sagemaker_tables

clean:
	rm -rf .tools $(VENV) $(TRITON_VENV) $(STORAGE_VENV) $(MXNET_VENV) $(SAGEMAKER_VENV) build dist demo runs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
