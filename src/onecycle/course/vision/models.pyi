# Written by scripts/write_stubs.py: change the table of names, and run it again.

from onecycle.course import *
from onecycle.models import resnet18 as resnet18
from onecycle.models import resnet34 as resnet34
from onecycle.models import resnet50 as resnet50
from onecycle.models import resnet101 as resnet101
from onecycle.models import resnet152 as resnet152
from onecycle.models import vgg16_bn as vgg16_bn
from onecycle.models import vgg19_bn as vgg19_bn
from onecycle.models import densenet121 as densenet121
from onecycle.models import densenet161 as densenet161
from onecycle.models import densenet169 as densenet169
from onecycle.models import densenet201 as densenet201
