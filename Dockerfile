# syntax=docker/dockerfile:1
# A serving image: onnxruntime and no torch; no pip, no compiler, no root.
#
#   docker build --tag cellmark .                                 (--build-arg EXTRA=gpu for NVIDIA: CUDA 13, cuDNN 9)
#   mkdir -p keys && docker run --rm --user "$(id -u)" --volume "$PWD/keys:/keys" cellmark keys create --name me
#   docker run --rm --read-only --tmpfs /tmp --publish 127.0.0.1:3000:3000 --user "$(id -u)" \
#       --volume "$PWD/keys:/keys:ro" --volume "$PWD/my-bundle:/model:ro" cellmark
#
# The first prints an API key, once. Mount the folder of the key file, not the file: it is replaced at every change.
# The model is the bundle mounted at /model, or what CELLMARK_MODEL names (models:/pbmc@champion, say, with
# MLFLOW_TRACKING_URI). Other commands work as well: docker run --rm ... cellmark bundle verify /model
# The install steps are .ci/install_serving.sh, which CI runs too.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG EXTRA=cpu
WORKDIR /build
COPY .ci/install_serving.sh .ci/
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY front front
COPY schemas schemas
COPY serving serving
COPY training training
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip wheel --no-deps --wheel-dir dist . \
    && bash .ci/install_serving.sh /opt/cellmark "${EXTRA}"

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="cellmark" \
      org.opencontainers.image.description="Names the type of single cells and shows the genes behind each call" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/cellmark /opt/cellmark
# Whatever anything in here wants to write goes to /tmp, so that the root file system can be read-only.
# The NVIDIA variables tell its container runtime which driver parts to mount; elsewhere they mean nothing.
ENV PATH=/opt/cellmark/bin:$PATH \
    HOME=/tmp \
    TMPDIR=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    BENTOML_HOME=/tmp/bentoml \
    BENTOML_DO_NOT_TRACK=True \
    GX_ANALYTICS_ENABLED=false \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    CELLMARK_MODEL=/model \
    CELLMARK_KEY_FILE=/keys/keys.jsonl
WORKDIR /tmp
USER 10001:10001
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/readyz', timeout=4)"]
ENTRYPOINT ["cellmark"]
CMD ["serve", "--host", "0.0.0.0", "--port", "3000"]
