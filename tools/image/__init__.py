"""The container image, built without a registry and without a container engine.

`images/Dockerfile` is an ordinary one and builds with Docker as it is. Where neither Docker nor a registry is at hand,
mmdebstrap makes its base from Debian packages and buildah works the Dockerfile off in a chroot. The result is a
docker-archive tar in the user's cache, named by a hash of all that goes in, so asking twice builds once.

    inputs     what goes in, as a hash           storage    buildah with a storage of our own
    settings   this machine's settings, for the build only
    images     the base, the operator's image and the pause image
    sbom       what is in the image, as SPDX     __main__   the command line
"""

from tools.image.images import OPERATOR_IMAGE, PAUSE_IMAGE, operator_archive, pause_archive
from tools.progress import CommandError as ImageError

__all__ = ["OPERATOR_IMAGE", "PAUSE_IMAGE", "ImageError", "operator_archive", "pause_archive"]
