"""How the hosts of a job come together."""

from torch.distributed.run import get_args_parser

from trainer.sagemaker.hosts import ONE_HOST, Hosts, torchrun, variables

PAIR = Hosts("algo-2", ("algo-1", "algo-2"), "eth0")


def test_torchrun_meets_at_the_first_host() -> None:
    _, flag, module, *words = torchrun(PAIR, 4, 7777, ["train", "--name=x"])
    assert (flag, module) == ("-m", "trainer.sagemaker.torchrun")
    parsed = get_args_parser().parse_args(words)  # torch's own reader
    assert (parsed.nnodes, parsed.nproc_per_node, parsed.node_rank) == ("2", "4", 1)
    assert (parsed.master_addr, parsed.master_port) == ("algo-1", 7777)
    assert parsed.shutdown_timeout < 120  # SageMaker's SIGKILL comes later
    assert parsed.standalone is False
    assert parsed.module is True
    assert parsed.training_script == "trainer"
    assert parsed.training_script_args == ["train", "--name=x"]


def test_one_host_needs_no_port_of_its_own() -> None:
    parsed = get_args_parser().parse_args(torchrun(ONE_HOST, 2, 7777, ["train"])[3:])
    assert parsed.standalone is True


def test_the_libraries_take_the_jobs_interface_unless_told_another() -> None:
    assert variables(PAIR, {}) == {"NCCL_SOCKET_IFNAME": "eth0", "GLOO_SOCKET_IFNAME": "eth0"}
    assert variables(PAIR, {"NCCL_SOCKET_IFNAME": "ib0"}) == {"GLOO_SOCKET_IFNAME": "eth0"}
    assert variables(ONE_HOST, {}) == {}
