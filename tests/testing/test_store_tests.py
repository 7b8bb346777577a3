"""Directories, and object stores as obstore speaks to them, are places where runs can be stored."""

import pytest

from scorefold.testing import StoreTests


class TestDirectories(StoreTests):
    @pytest.fixture
    def location(self, tmp_path):
        return str(tmp_path / "run")


class TestObjectStores(StoreTests):
    @pytest.fixture
    def location(self, tmp_path):
        (tmp_path / "run").mkdir()
        return f"file://{tmp_path}/run"
