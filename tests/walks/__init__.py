"""Walks drive whole processes. What a shift counts is held by assertions that shall tell what they found."""

import pytest

pytest.register_assert_rewrite("tests.walks.shift")
