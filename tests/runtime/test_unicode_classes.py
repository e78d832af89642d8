"""Classes that read the same in two Unicode forms are told, wherever labels come from."""

from unicodedata import normalize

import pytest

from onecycle.core.errors import OnecycleWarning
from onecycle.runtime.targets.category import CategorySpec, sorted_classes
from onecycle.runtime.targets.multi_category import MultiCategorySpec

COMPOSED, APART = (normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    "fit",
    [
        lambda: CategorySpec().fit([COMPOSED, "tea", APART]),
        lambda: MultiCategorySpec().fit([[COMPOSED, "tea"], [APART]]),
    ],
)
def test_classes_in_two_forms_are_told(fit):
    with pytest.warns(OnecycleWarning, match=rf"1 classes .*'{COMPOSED}'.*NFC") as messages:
        assert len(fit().classes) == 3
    assert len(messages) == 1


def test_other_classes_are_taken_as_they_are():
    assert sorted_classes([APART, "cafe", "tea", APART, 3]) == (3, "cafe", APART, "tea")
