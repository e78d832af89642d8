"""The peer's side of `camvid.py`: fastai on the same frames, weights and stages; a JSON line each.

    PEER_PYTHON benchmarks/camvid_peer.py CAMVID '{"stages": [...], "seed": 0, "body": FILE}'

A stage is [name, [h, w], frozen, epochs, lowest rate or null, highest]; FILE holds MobileNetV2
under timm's names. 32-bit floats: fastai's 16 bits are for CUDA only.
"""

import json
import resource
import sys
import warnings
from pathlib import Path
from time import perf_counter, process_time

warnings.simplefilter("ignore")

import timm  # noqa: E402 - the peer warns while it is imported
import torch  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    BnFreeze,
    ConvLayer,
    CrossEntropyLossFlat,
    DataBlock,
    DynamicUnet,
    FuncSplitter,
    ImageBlock,
    Learner,
    MaskBlock,
    MergeLayer,
    Normalize,
    Resize,
    SequentialEx,
    aug_transforms,
    get_image_files,
    params,
)
from torch import nn  # noqa: E402

N, VOID = 12, 11


def model_of(file, size):
    """fastai's U-Net with `bottle`, whose own form of it (2.8.12) fails at the first batch."""
    net = timm.create_model("mobilenetv2_100", pad_type="same")
    net.load_state_dict(torch.load(file, weights_only=True), strict=False)
    model = DynamicUnet(nn.Sequential(net.conv_stem, net.bn1, *net.blocks), N, size)
    n = model.layers[-2][0].in_channels
    narrow, wide = (ConvLayer(*c, norm_type=None) for c in ((n, n // 2), (n // 2, n)))
    model.layers[-3] = SequentialEx(narrow, wide, MergeLayer())
    return model


def data_at(root, size):
    names = set((root / "valid.txt").read_text().split())
    block = DataBlock(
        blocks=(ImageBlock, MaskBlock((root / "codes.txt").read_text().split())),
        get_items=get_image_files,
        splitter=FuncSplitter(lambda file: file.name in names),
        get_y=lambda file: root / "labels" / f"{file.stem}_P.png",
        item_tfms=Resize(size, method="squish"),
        batch_tfms=[*aug_transforms(max_warp=0.1), Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    return block.dataloaders(root / "images", bs=8, num_workers=0)


@torch.no_grad()
def measured(learn, codes):
    """Accuracy, mean IoU and the IoU of each class over the validation frames, without void."""
    matrix = torch.zeros(N * N)
    learn.model.eval()
    for x, y in learn.dls.valid:
        predicted = torch.Tensor(learn.model(x)).argmax(1).flatten()
        true = y.as_subclass(torch.Tensor).flatten()
        matrix += torch.bincount((true * N + predicted)[true != VOID], minlength=N * N)
    matrix = matrix.reshape(N, N)
    right, true = matrix.diagonal(), matrix.sum(1)
    iou = (right / (matrix.sum(0) + true - right))[true > 0]
    named = zip(torch.tensor(range(N))[true > 0].tolist(), iou.tolist(), strict=True)
    each = {codes[i]: round(value, 4) for i, value in named}
    return {"accuracy": float(right.sum() / true.sum()), "mean IoU": float(iou.mean()), "IoU": each}


def hold_norms(learn):
    """Batch norm of the body keeps its weights and its statistics, as on our side."""
    for module in learn.model.layers[0].modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)


def main():
    root, work = Path(sys.argv[1]), json.loads(sys.argv[2])
    torch.manual_seed(work["seed"])
    stages, codes = work["stages"], (root / "codes.txt").read_text().split()
    learn = Learner(
        data_at(root, stages[0][1]),
        model_of(work["body"], tuple(stages[0][1])),
        loss_func=CrossEntropyLossFlat(axis=1, ignore_index=VOID),
        splitter=lambda m: [params(m[0][:5]), params(m[0][5:]), params(m[1:])],
        train_bn=False,
        wd=1e-2,
    )
    for name, size, frozen, epochs, low, high in stages:
        wall, cpu = perf_counter(), process_time()
        learn.dls = data_at(root, size)
        learn.freeze() if frozen else learn.unfreeze()
        hold_norms(learn)
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(epochs, high if frozen else slice(low, high), cbs=[BnFreeze()])
        spent = {"seconds": round(perf_counter() - wall), "cpu_s": round(process_time() - cpu)}
        peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        row = {"stage": name, "epochs": epochs, **measured(learn, codes), **spent, "peak_mb": peak}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
