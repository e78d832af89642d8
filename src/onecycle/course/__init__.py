"""The 2018-19 course's names in one import, and under each path that its programs import from.

All paths hand out the same names, `onecycle.course.vision.data` as well as `onecycle.course`: they
are modules without a file of their own, entered into `sys.modules` here as os.path is by os.
"""

import sys
from types import ModuleType

from onecycle.course.table import namespace

_PATHS = """basic_data basic_train basics callback callbacks callbacks.csv_logger callbacks.hooks
callbacks.mixup callbacks.tracker collab core data_block datasets imports layers metrics tabular
text text.data text.learner text.models text.transform torch_core train utils utils.mem vision
vision.data vision.gan vision.image vision.interpret vision.learner vision.models vision.transform
vision.tta widgets"""
PATHS = _PATHS.split()

globals().update(namespace(__name__))

for _path in PATHS:  # a package stands before what is in it
    _module = ModuleType(f"{__name__}.{_path}", f"In place of the course's module {_path}.")
    vars(_module).update(namespace(_module.__name__))
    _parent, _, _name = _module.__name__.rpartition(".")
    setattr(sys.modules[_parent], _name, _module)
    sys.modules[_module.__name__] = _module
