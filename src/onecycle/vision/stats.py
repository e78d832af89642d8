"""Channel statistics (mean, std) of pictures in 0-1 that published weights were trained with."""

imagenet_stats = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
half_stats = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
