# make demo: from nothing to three answers.  make test: the whole test suite.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Environments that only some tests need: the real tritonserver; KServe's storage initializer and an S3 server;
# MXNet, which writes .rec files; boto3 and SageMaker's record. A test's mark is its environment's name.
OTHERS := triton storage mxnet sagemaker
OTHER_STAMPS := $(OTHERS:%=.venv-%/.installed)

.PHONY: install demo test images test-images $(OTHERS) check format proto tables clean
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

test: $(STAMP) $(OTHER_STAMPS)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 30 --durations-min 5

# Both images, by docker, podman or buildah; EXTRA=cpu, gpu or tensorrt. RUN_AS=0:0 is the trainer's user.
images:
	$(PYTHON) images.py $(if $(EXTRA),--extra $(EXTRA)) $(if $(BASE_IMAGE),--base_image $(BASE_IMAGE)) $(if $(SOURCE),--source $(SOURCE)) $(if $(RUN_AS),--run_as $(RUN_AS))

# Builds the images on a base that debootstrap makes, and runs them; as root, with buildah.
test-images: $(STAMP)
	$(BIN)/python -m pytest -m images tests/images

$(OTHERS): %: .venv-%/.installed

$(OTHER_STAMPS): .venv-%/.installed: tests/%/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --no-compile --no-deps --requirement $<
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
	rm -rf .tools $(VENV) $(OTHERS:%=.venv-%) build dist demo runs .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
