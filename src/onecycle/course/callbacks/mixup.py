"""In place of the course's module callbacks.mixup."""

from onecycle.course.table import course_names

__getattr__, __dir__, __all__ = course_names(__name__)
