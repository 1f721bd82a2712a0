"""Which process a target means, on recorded machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.app.targets import resolve
from leadline.model import NotPermitted, UsageError
from recorded_machines import Machine
from socket_dumps import ESTABLISHED, LISTEN, inet

ID = "4c01db0b339c8a7d1f2f8e5b6a7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8"
OTHER_ID = "4c01db0b339c" + "0" * 52
UID = "8f1c2d3e-0000-4abc-9def-001122334455"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.process(2, "kthreadd", flags=0x208040)
    machine.process(41, "api", args=["-listen", ":8080", "--token=abc"], start=300, fds={3: "socket:[501]"})
    machine.process(42, "worker", start=200)
    return machine


# -- pid -----------------------------------------------------------------------------------------------------


def test_a_pid_means_itself(machine: Machine) -> None:
    found = resolve(machine.host(), "41")
    assert (found.pid, found.comm, found.start_ticks, found.note, found.others) == (41, "api", 300, "", ())
    assert resolve(machine.host(), "pid:41").pid == 41


def test_a_pid_that_is_not_there_is_an_error(machine: Machine) -> None:
    with pytest.raises(UsageError, match="no process 99"):
        resolve(machine.host(), "99")


def test_a_thread_names_its_process(machine: Machine) -> None:
    machine.process(77, "api", tgid=41)
    with pytest.raises(UsageError, match="thread of process 41") as caught:
        resolve(machine.host(), "77")
    assert "41" in caught.value.remedy


def test_a_zombie_is_no_target(machine: Machine) -> None:
    machine.process(43, "dead", state="Z")
    with pytest.raises(UsageError, match="has ended"):
        resolve(machine.host(), "43")


@pytest.mark.parametrize(
    "target", ["", "api", "41x", "-1", "4 1", "x:y", "name:", ":8080", "٤", "12345678901"]
)
def test_other_text_is_an_error_with_the_forms(machine: Machine, target: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(machine.host(), target)
    assert "name:NAME" in caught.value.remedy


# -- name ----------------------------------------------------------------------------------------------------


def test_a_name_is_the_comm_or_the_programs_file_name(machine: Machine) -> None:
    machine.process(44, "GC Worker", exe="/opt/shop/checkout-service-v2 (deleted)")
    assert resolve(machine.host(), "name:api").pid == 41
    assert resolve(machine.host(), "name:checkout-service-v2").pid == 44
    assert resolve(machine.host(), "name:GC Worker").pid == 44


def test_a_long_name_matches_the_cut_comm(machine: Machine) -> None:
    machine.process(44, "a-very-long-nam", exe="/usr/bin/python3.11")
    assert resolve(machine.host(), "name:a-very-long-name-indeed").pid == 44


def test_a_name_that_nobody_has(machine: Machine) -> None:
    with pytest.raises(UsageError, match="no process is named 'kthread"):
        resolve(machine.host(), "name:kthreadd")  # a kernel thread
    with pytest.raises(UsageError):
        resolve(machine.host(), "name:leadline")  # leadline itself


def test_an_ambiguous_name_lists_the_candidates_oldest_first_without_secrets(machine: Machine) -> None:
    machine.process(45, "api", args=["\x1b[2J"], start=100)
    with pytest.raises(UsageError, match="2 processes") as caught:
        resolve(machine.host(), "name:api")
    lines = caught.value.message.splitlines()[1:]
    assert [int(line.split()[0]) for line in lines] == [45, 41]
    assert "abc" not in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_long_list_is_cut(machine: Machine) -> None:
    for pid in range(100, 120):
        machine.process(pid, "prefork")
    with pytest.raises(UsageError, match="and 8 more"):
        resolve(machine.host(), "name:prefork")


# -- port ----------------------------------------------------------------------------------------------------


def test_a_port_means_who_holds_the_listening_socket(machine: Machine) -> None:
    machine.listeners({501: 8080, 502: 9090})
    found = resolve(machine.host(), "port:8080")
    assert (found.pid, found.note) == (41, "")


def test_a_connection_from_that_port_is_no_listener(machine: Machine) -> None:
    machine.sockets(inet(501, ESTABLISHED, ports=(8080, 443)))
    with pytest.raises(UsageError, match="nothing listens on port 8080"):
        resolve(machine.host(), "port:8080")


def test_ipv6_listeners_count(machine: Machine) -> None:
    listener = inet(501, LISTEN, family=10, ports=(8080, 0), target=b"", source=b"")
    machine.sockets(listener, family=10)
    assert resolve(machine.host(), "port:8080").pid == 41


def test_udp_counts_when_no_tcp_socket_listens(machine: Machine) -> None:
    machine.sockets(inet(501, 7, ports=(53, 0), target=b"", source=b""), protocol=17)
    assert resolve(machine.host(), "port:53").pid == 41


def test_of_several_holders_the_oldest_is_meant_and_the_others_are_told(machine: Machine) -> None:
    machine.listeners({501: 8080})
    machine.process(50, "api", start=150, fds={9: "socket:[501]"})
    machine.process(51, "api", start=400, fds={9: "socket:[501]"})
    found = resolve(machine.host(), "port:8080")
    assert (found.pid, [other.pid for other in found.others]) == (50, [41, 51])
    assert "oldest of 3" in found.note


def test_ports_of_other_namespaces_are_found(machine: Machine) -> None:
    machine.process(60, "inner", netns=4026532999, fds={3: "socket:[900]"})
    machine.listeners({900: 8080}, netns=4026532999)
    assert resolve(machine.host(), "port:8080").pid == 60


def test_the_same_port_in_two_namespaces_is_ambiguous(machine: Machine) -> None:
    machine.listeners({501: 8080})
    machine.process(60, "inner", netns=4026532999, fds={3: "socket:[900]"})
    machine.listeners({900: 8080}, netns=4026532999)
    with pytest.raises(UsageError, match="2 network namespaces"):
        resolve(machine.host(), "port:8080")


def test_a_listener_whose_process_may_not_be_read_needs_rights(machine: Machine) -> None:
    machine.listeners({77: 8080})
    with pytest.raises(NotPermitted) as caught:
        resolve(machine.host(), "port:8080")
    assert "root" in caught.value.remedy


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "80 80", "8080888888"])
def test_what_is_no_port(machine: Machine, port: str) -> None:
    with pytest.raises(UsageError, match="not a port"):
        resolve(machine.host(), f"port:{port}")


# -- units, containers, pods ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cgroup",
    ["0::/system.slice/web.service\n", "4:memory:/\n1:name=systemd:/system.slice/web.service/sub\n0::/\n"],
)
def test_a_unit_is_found_in_v1_and_v2(machine: Machine, cgroup: str) -> None:
    machine.process(70, "web", cgroup=cgroup)
    assert resolve(machine.host(), "unit:web").pid == 70
    assert resolve(machine.host(), "unit:web.service").pid == 70
    with pytest.raises(UsageError, match="no process is in unit"):
        resolve(machine.host(), "unit:web.socket")


def test_of_a_unit_the_one_that_listens_is_meant(machine: Machine) -> None:
    for pid, start, inode in ((70, 10, 1), (71, 20, 600), (72, 30, 2)):
        machine.process(
            pid, "web", cgroup="0::/system.slice/web.service\n", start=start, fds={3: f"socket:[{inode}]"}
        )
    machine.listeners({600: 80})
    found = resolve(machine.host(), "unit:web")
    assert (found.pid, [other.pid for other in found.others]) == (71, [70, 72])
    assert "the one that listens of 3 processes" in found.note


def test_without_a_listener_the_oldest_is_meant_but_not_a_mere_init(machine: Machine) -> None:
    for pid, comm, start in ((70, "tini", 10), (71, "server", 20), (72, "child", 30)):
        machine.process(pid, comm, cgroup=f"0::/docker/{ID}\n", start=start)
    assert resolve(machine.host(), f"container:{ID[:12]}").pid == 71


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{ID}",
        f"/system.slice/docker-{ID}.scope",
        f"/kubepods/burstable/pod{UID}/{ID}",
        f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
        f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{ID}.scope",
        f"/machine.slice/libpod-{ID}.scope/container",
    ],
)
def test_a_container_is_found_by_the_beginning_of_its_id(machine: Machine, path: str) -> None:
    machine.process(70, "web", cgroup=f"0::{path}\n")
    for text in (ID, ID[:12], ID[:20].upper()):
        assert resolve(machine.host(), f"container:{text}").pid == 70


def test_an_ambiguous_beginning_asks_for_more_digits(machine: Machine) -> None:
    machine.process(70, "web", cgroup=f"0::/docker/{ID}\n")
    machine.process(71, "db", cgroup=f"0::/docker/{OTHER_ID}\n")
    with pytest.raises(UsageError, match="2 containers begin") as caught:
        resolve(machine.host(), f"container:{ID[:12]}")
    assert "more digits" in caught.value.remedy
    assert resolve(machine.host(), f"container:{OTHER_ID}").pid == 71


@pytest.mark.parametrize("text", [ID[:11], "web-1-of-shop", ID + "0"])
def test_what_is_no_container_id(machine: Machine, text: str) -> None:
    with pytest.raises(UsageError, match="not a container id"):
        resolve(machine.host(), f"container:{text}")


def test_a_container_that_is_not_here(machine: Machine) -> None:
    with pytest.raises(UsageError, match="no process is in container"):
        resolve(machine.host(), f"container:{ID}")


def test_a_pod_is_found_by_kubelets_log_directory(machine: Machine) -> None:
    machine.process(70, "pause", cgroup=f"0::/kubepods/burstable/pod{UID}/{OTHER_ID}\n", start=1)
    machine.process(71, "web", cgroup=f"0::/kubepods/burstable/pod{UID}/{ID}\n", start=2)
    machine.write(f"var/log/pods/shop_checkout-5d9c_{UID}/web/0.log", "")
    machine.write("var/log/pods/shop_checkout-5d9c-x_00000000-0000-0000-0000-000000000000/web/0.log", "")
    found = resolve(machine.host(), "pod:shop/checkout-5d9c")
    assert (found.pid, [other.pid for other in found.others]) == (71, [70])


def test_without_the_log_directory_a_pod_is_found_by_host_name_and_account(machine: Machine) -> None:
    account = "root/var/run/secrets/kubernetes.io/serviceaccount/namespace"
    for pid, namespace in ((71, "shop"), (72, "test")):
        machine.process(pid, "web", cgroup=f"0::/kubepods/burstable/pod{UID}/{ID}\n")
        machine.write(f"proc/{pid}/root/etc/hostname", "checkout-5d9c\n")
        machine.write(f"proc/{pid}/{account}", namespace)
    assert resolve(machine.host(), "pod:shop/checkout-5d9c").pid == 71


def test_a_pod_that_is_not_here_says_where_to_look(machine: Machine) -> None:
    with pytest.raises(UsageError, match="no process of this host") as caught:
        resolve(machine.host(), "pod:shop/checkout")
    assert "kubectl get pod -o wide" in caught.value.remedy
    machine.write(f"var/log/pods/shop_checkout_{UID}/web/0.log", "")
    with pytest.raises(UsageError, match="/var/log/pods"):
        resolve(machine.host(), "pod:shop/checkout")


@pytest.mark.parametrize("text", ["checkout", "/checkout", "shop/"])
def test_what_is_no_pod(machine: Machine, text: str) -> None:
    with pytest.raises(UsageError, match="not a pod"):
        resolve(machine.host(), f"pod:{text}")
