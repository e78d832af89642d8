# Written by scripts/write_stubs.py: change the table of names, and run it again.

from onecycle.course import *
