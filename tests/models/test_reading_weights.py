"""Weights from files and from the hub: read safely, matched, or refused with advice."""

import http.server
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from onecycle.core.errors import ModelError, WeightsError
from onecycle.models.body import create_body
from onecycle.models.weights import load_weights, read_weights

DATA = Path(__file__).parents[3] / "shared" / "data"


def seeded(net, seed):
    """Every weight and statistic drawn anew, so that nothing is a default."""
    generator = torch.Generator().manual_seed(seed)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) * 0.2 + 0.01)
    return net.eval()


def test_weights_with_torchvisions_names_give_torchvisions_features(tmp_path):
    theirs = seeded(torchvision.models.mobilenet_v2(weights=None), 1)
    state = {k: v.contiguous() for k, v in theirs.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    ours = create_body("mobilenetv2_100", str(tmp_path / "w.safetensors")).eval()
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs.features(x), rtol=1e-4, atol=1e-4)


def test_weights_with_timms_names_in_16_bits_are_loaded_without_the_classifier(tmp_path):
    theirs = seeded(timm.create_model("resnet10t", num_classes=3), 2)
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in theirs.state_dict().items()},
        tmp_path / "w.safetensors",
    )
    ours = create_body("resnet10t", str(tmp_path / "w.safetensors"))
    expected = theirs.layer4[0].conv1.weight.half().float()
    assert torch.equal(ours.net.layer4[0].conv1.weight, expected)
    assert ours.stats is None


def test_a_torch_file_with_a_wrapper_and_module_prefixes_is_read(tmp_path):
    state = {"state_dict": {"module.a.weight": torch.ones(2)}, "best_prec1": 3}
    torch.save(state, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth")["a.weight"].tolist() == [1, 1]


class Hostile:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(WeightsError, match="safely"):
        read_weights(tmp_path / "w.pth")
    assert not mark.exists()


def test_missing_damaged_and_foreign_files_are_errors_that_name_the_file(tmp_path):
    net = timm.create_model("resnet10t", num_classes=0)
    with pytest.raises(WeightsError, match=r"w\.safetensors: no such file"):
        load_weights(net, tmp_path / "w.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{not json")
    with pytest.raises(WeightsError, match=r"bad\.safetensors"):
        load_weights(net, tmp_path / "bad.safetensors")
    other = timm.create_model("mobilenetv3_small_050", num_classes=0).state_dict()
    save_file(other, tmp_path / "other.safetensors")
    before = net.conv1[0].weight.clone()
    with pytest.raises(WeightsError, match="not the weights of this model"):
        load_weights(net, tmp_path / "other.safetensors")
    assert torch.equal(net.conv1[0].weight, before)


def test_the_small_weights_belong_to_the_small_network_only():
    with pytest.raises(ModelError, match=r"models\.small"):
        create_body("resnet10t", "small")


HUB_PROGRAM = """
import sys
from onecycle.core.errors import WeightsError
from onecycle.models.body import create_body
try:
    body = create_body("mobilenetv3_small_050", True)
    print("loaded", float(body.net.conv_stem.weight.flatten()[0]))
except WeightsError as error:
    print("refused", error)
"""


def ask_hub(endpoint, home):
    variables = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HUB_PROGRAM],
        capture_output=True,
        text=True,
        env=variables,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_published_weights_come_from_the_hub(tmp_path):
    net = seeded(timm.create_model("mobilenetv3_small_050"), 3)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    body = (tmp_path / "model.safetensors").read_bytes()

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            found = self.path.endswith("/model.safetensors")
            self.send_response(200 if found else 404)
            self.send_header("ETag", '"0123456789abcdef"')
            self.send_header("X-Repo-Commit", "a" * 40)
            self.send_header("Content-Length", str(len(body)) if found else "0")
            self.end_headers()
            return found

        def do_GET(self):
            if self.do_HEAD():
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        reported = ask_hub(f"http://127.0.0.1:{server.server_port}", tmp_path / "home")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert reported.startswith("loaded")
    assert float(reported.split()[1]) == pytest.approx(
        float(net.conv_stem.weight.detach().flatten()[0])
    )


def test_without_the_hub_the_error_names_the_ways_out_at_once(tmp_path):
    reported = ask_hub("http://127.0.0.1:9", tmp_path)
    assert reported.startswith("refused")
    for way in ("network", "pretrained=", "models.small", "pretrained=False"):
        assert way in reported


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "weights").is_dir(), reason="../shared/data is not there")
def test_imagenet_weights_classify_sample_images_as_stated():
    from onecycle.runtime.inputs.pixels import open_pixels

    net = timm.create_model("mobilenetv2_100", pad_type="same").eval()
    load_weights(net, DATA / "weights" / "mobilenet_v2_100.fp16.safetensors")
    root = DATA / "imagenet_sample200"
    table = root / "labels.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    right = 0
    with torch.inference_mode():
        for name, index, *_ in rows:
            pixels = np.pad(open_pixels(root / "images" / name), ((224, 224), (224, 224), (0, 0)))
            top, left = (224 + (side - 2 * 224 - 224) // 2 for side in pixels.shape[:2])
            pixels = pixels[top : top + 224, left : left + 224]  # black where it is too small
            x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
            right += int(net(x).argmax()) == int(index)
    assert right / len(rows) == pytest.approx(0.785, abs=0.01)
