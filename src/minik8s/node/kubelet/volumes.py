"""A pod's volumes as directories of the host: ROOT/pods/UID/volumes/KIND/NAME, and where containers see them.

emptyDir, configMap, downwardAPI, projected (of these, and of ServiceAccounts' tokens) and hostPath; others fail with an
event and a reason. Files of ConfigMaps are written as upstream writes them: a new directory, then one atomic switch of
the link `..data`, so that a reader never sees half of an update. The runtime maps the directories into containers (the
process engine: as links).
"""

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from minik8s.api.core_v1 import ConfigMap, Container, KeyToPath, Pod, ServiceAccountTokenProjection, Volume
from minik8s.node.kubelet.expansion import expand
from minik8s.node.kubelet.fields import Addresses, ConfigError, field, resource_field

Files = dict[str, bytes]
Tokens = Mapping[tuple[str, str], str]
"""Tokens by volume and path."""

_DIRECTORIES = {
    "emptyDir": "empty-dir",
    "configMap": "configmap",
    "downwardAPI": "downward-api",
    "projected": "projected",
}


class VolumeError(Exception):
    """A volume that cannot be set up: the pod waits, with an event FailedMount."""


class Mount(msgspec.Struct, frozen=True):
    """A host path and where a container sees it."""

    container_path: str
    host_path: str
    readonly: bool


def configmap_names(pod: Pod) -> set[str]:
    """The ConfigMaps that `set_up` wants."""
    assert pod.spec is not None
    names = {volume.configMap.name for volume in pod.spec.volumes or () if volume.configMap}
    for volume in pod.spec.volumes or ():
        for source in (volume.projected and volume.projected.sources) or ():
            if source.configMap:
                names.add(source.configMap.name)
    return {name for name in names if name}


def token_sources(pod: Pod) -> dict[tuple[str, str], ServiceAccountTokenProjection]:
    """The tokens that `set_up` wants, by volume and path."""
    assert pod.spec is not None
    return {
        (volume.name, part.serviceAccountToken.path): part.serviceAccountToken
        for volume in pod.spec.volumes or ()
        for part in (volume.projected and volume.projected.sources) or ()
        if part.serviceAccountToken
    }


def set_up(home: Path, pod: Pod, configmaps: Mapping[str, ConfigMap], tokens: Tokens, addresses: Addresses) -> None:
    """Make or refresh every volume below `home`. Blocking. Raises VolumeError."""
    assert pod.spec is not None
    for volume in pod.spec.volumes or ():
        try:
            if volume.emptyDir:
                host_path(home, volume).mkdir(parents=True, exist_ok=True)
            elif volume.hostPath:
                _check_host_path(volume)
            else:
                private = () if _changes_user(pod) else {_safe(path) for name, path in tokens if name == volume.name}
                write_files(host_path(home, volume), files_of(pod, volume, configmaps, tokens, addresses), private)
        except (OSError, ConfigError) as error:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{volume.name}": {error}') from error


def host_path(home: Path, volume: Volume) -> Path:
    """Where a volume lies on the host. Raises VolumeError for kinds that are not supported."""
    if volume.hostPath:
        return Path(volume.hostPath.path)
    for kind, directory in _DIRECTORIES.items():
        if getattr(volume, kind) is not None:
            return home / "volumes" / f"kubernetes.io~{directory}" / volume.name
    kinds = [name for name in volume.__struct_fields__ if name != "name" and getattr(volume, name) is not None]
    raise VolumeError(f'volume "{volume.name}": {", ".join(kinds) or "this kind"} is not supported yet')


def mounts(home: Path, pod: Pod, container: Container, env: Mapping[str, str]) -> list[Mount]:
    """A container's mounts. Makes the sub-paths it asks for. Blocking. Raises VolumeError."""
    assert pod.spec is not None
    volumes = {volume.name: volume for volume in pod.spec.volumes or ()}
    found = []
    for mount in container.volumeMounts or ():
        if mount.name not in volumes:
            raise VolumeError(f'volume "{mount.name}" of container "{container.name}" is not defined')
        path = host_path(home, volumes[mount.name])
        sub_path = expand(mount.subPathExpr, env) if mount.subPathExpr else mount.subPath or ""
        if sub_path:
            if sub_path.startswith("/") or ".." in PurePosixPath(sub_path).parts:
                raise VolumeError(f'subPath "{sub_path}" must stay within its volume')
            path = path / sub_path
            if not path.exists():
                path.mkdir(parents=True)
        found.append(Mount(mount.mountPath, str(path), bool(mount.readOnly)))
    return found


def files_of(
    pod: Pod, volume: Volume, configmaps: Mapping[str, ConfigMap], tokens: Tokens, addresses: Addresses
) -> Files:
    """The files of a volume that is made of API objects. Raises ConfigError."""
    if volume.configMap:
        source = volume.configMap
        return _configmap_files(source.name or "", source.items, bool(source.optional), configmaps)
    if volume.downwardAPI:
        return _downward_files(pod, volume.downwardAPI.items or (), addresses)
    assert volume.projected is not None
    files: Files = {}
    for part in volume.projected.sources or ():
        if part.configMap:
            files |= _configmap_files(
                part.configMap.name or "", part.configMap.items, bool(part.configMap.optional), configmaps
            )
        elif part.downwardAPI:
            files |= _downward_files(pod, part.downwardAPI.items or (), addresses)
        elif part.serviceAccountToken:
            path = part.serviceAccountToken.path
            files[_safe(path)] = tokens[volume.name, path].encode()
        else:
            kinds = [name for name in part.__struct_fields__ if getattr(part, name) is not None]
            raise ConfigError(f"projected {', '.join(kinds)} is not supported yet")
    return files


def write_files(directory: Path, files: Files, private: Collection[str] = ()) -> None:
    """Have the directory hold exactly these files, in one atomic step; only we read the `private`. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / "..data"
    current = data.resolve() if data.is_symlink() else None
    if current and current.is_dir() and _read(current) == files:
        return
    number = int(current.name.removeprefix("..")) + 1 if current and current.name[2:].isdigit() else 1
    fresh = directory / f"..{number}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)  # Not readable by others even before it is full.
        path.write_bytes(content)
        path.chmod(0o600 if name in private else 0o644)
    scratch = directory / "..data_tmp"
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(fresh.name)
    scratch.replace(data)
    wanted = {PurePosixPath(name).parts[0] for name in files}
    for entry in os.scandir(directory):
        if not entry.name.startswith("..") and entry.name not in wanted:
            Path(entry.path).unlink()
    for name in wanted:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    if current:
        shutil.rmtree(current, ignore_errors=True)


def _read(directory: Path) -> Files:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _configmap_files(
    name: str, items: list[KeyToPath] | None, is_optional: bool, configmaps: Mapping[str, ConfigMap]
) -> Files:
    found = configmaps.get(name)
    if found is None:
        if is_optional:
            return {}
        raise ConfigError(f'configmap "{name}" not found')
    content = {key: value.encode() for key, value in (found.data or {}).items()}
    content |= {key: msgspec.convert(value, bytes, strict=False) for key, value in (found.binaryData or {}).items()}
    if not items:
        return content
    files: Files = {}
    for item in items:
        if item.key in content:
            files[_safe(item.path)] = content[item.key]
        elif not is_optional:
            raise ConfigError(f"references non-existent config key: {item.key}")
    return files


def _downward_files(pod: Pod, items: object, addresses: Addresses) -> Files:
    files: Files = {}
    assert isinstance(items, (list, tuple))
    for item in items:
        if item.fieldRef:
            files[_safe(item.path)] = field(pod, item.fieldRef.fieldPath, addresses).encode()
        elif item.resourceFieldRef:
            files[_safe(item.path)] = resource_field(pod, item.resourceFieldRef, "", addresses).encode()
    return files


def _safe(path: str) -> str:
    if path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise ConfigError(f'path "{path}" must stay within its volume')
    return str(PurePosixPath(path))


def _changes_user(pod: Pod) -> bool:
    """Whether a container runs as another user than we do; as upstream, everybody may then read its token."""
    assert pod.spec is not None
    contexts = [pod.spec.securityContext, *(each.securityContext for each in pod.spec.containers)]
    return any(context is not None and context.runAsUser is not None for context in contexts)


def _check_host_path(volume: Volume) -> None:
    assert volume.hostPath is not None
    path, wanted = Path(volume.hostPath.path), volume.hostPath.type or ""
    if wanted == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif wanted == "FileOrCreate":
        path.touch(exist_ok=True)
    tests = {
        "Directory": path.is_dir,
        "File": path.is_file,
        "Socket": path.is_socket,
        "CharDevice": path.is_char_device,
    }
    tests["BlockDevice"] = path.is_block_device
    if wanted in tests and not tests[wanted]():
        raise ConfigError(f"hostPath type check failed: {path} is not a {wanted}")
