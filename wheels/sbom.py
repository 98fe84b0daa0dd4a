"""The bill of materials inside each wheel (PEP 770): CycloneDX, the same bytes for the same pin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wheels.notices import Component
    from wheels.pins import Pin


def sbom(pin: Pin, version: str, inside: list[Component]) -> str:
    """Describe the wheel of `version`: the executable, its digest, and all that is in it."""
    package = f"pkg:pypi/litestream@{version}"
    executable, *linked = [_component(component) for component in inside]
    executable["type"] = "application"
    executable["hashes"] = [{"alg": "SHA-256", "content": pin.sha256}]
    executable["externalReferences"] = [
        {"type": "vcs", "url": "https://github.com/benbjohnson/litestream"}
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": package,
                "name": "litestream",
                "version": version,
                "licenses": [{"license": {"id": "MIT"}}],
                "purl": package,
            },
            "properties": [{"name": "litestream:platform", "value": pin.platform}],
        },
        "components": [executable, *linked],
        "dependencies": [
            {"ref": package, "dependsOn": [executable["bom-ref"]]},
            {"ref": executable["bom-ref"], "dependsOn": [part["bom-ref"] for part in linked]},
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _component(component: Component) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": "library",
        "bom-ref": component.purl,
        "name": component.name,
        "licenses": [{"expression": component.license}],
        "purl": component.purl,
    }
    if component.version:
        described["version"] = component.version
    if component.copyright:
        described["copyright"] = "\n".join(component.copyright)
    return described
