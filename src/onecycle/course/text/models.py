"""In place of the course's module text.models."""

from onecycle.course.vision.models import __all__, __dir__, __getattr__  # noqa: F401
