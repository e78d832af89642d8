# Written by scripts/write_stubs.py: change the table of names, and run it again.

from onecycle.course import *
from onecycle.models import Architecture

resnet18: Architecture
resnet34: Architecture
resnet50: Architecture
resnet101: Architecture
resnet152: Architecture
vgg16_bn: Architecture
vgg19_bn: Architecture
densenet121: Architecture
densenet161: Architecture
densenet169: Architecture
densenet201: Architecture
