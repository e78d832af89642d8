"""The 2018-19 course's names in one import: `from onecycle.course import *`."""

from onecycle.course.table import course_names

__getattr__, __dir__, __all__ = course_names(__name__)
