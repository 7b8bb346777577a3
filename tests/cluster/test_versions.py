"""Versions of all ends of a cluster are compared before they work together."""

import pytest

from scorefold.cluster.versions import NUMERICAL, PACKAGES, check_versions, versions
from scorefold.errors import InputError, ScorefoldWarning


class Cluster:
    """What a client tells of a scheduler and its workers."""

    def __init__(self, scheduler=None, **workers):
        self.scheduler, self.workers = scheduler or {}, workers

    def get_versions(self, packages):
        ours = {name: versions()[name] for name in packages}
        return {
            "client": {"packages": ours},
            "scheduler": {"packages": ours | self.scheduler},
            "workers": {name: {"packages": ours | other} for name, other in self.workers.items()},
        }


def test_equal_versions_pass():
    check_versions(Cluster(a={}, b={}))


def test_a_worker_that_has_not_answered_is_left_out():
    cluster = Cluster(a={})
    told = cluster.get_versions
    cluster.get_versions = lambda packages: told(packages) | {"workers": {"a": None}}
    check_versions(cluster)


@pytest.mark.parametrize(("theirs", "said"), [("0.0.9", "has scorefold 0.0.9"), (None, "lacks scorefold")])
def test_a_worker_with_another_scorefold_is_refused(theirs, said):
    with pytest.raises(InputError, match=f"worker b: it {said}, and this is {versions()['scorefold']}"):
        check_versions(Cluster(a={}, b={"scorefold": theirs}))


def test_a_scheduler_needs_no_scorefold_but_another_one_is_told_of():
    check_versions(Cluster({"scorefold": None}, a={}))
    with pytest.warns(ScorefoldWarning, match=r"the scheduler has scorefold 0\.0\.9"):
        check_versions(Cluster({"scorefold": "0.0.9"}, a={}))


@pytest.mark.parametrize("name", NUMERICAL)
def test_other_numerical_libraries_are_told_of(name):
    assert name in PACKAGES
    with pytest.warns(ScorefoldWarning, match=rf"workers have {name} 0\.1, none"):
        check_versions(Cluster(a={name: "0.1"}, b={name: None}))
