# No compiler, no pip.
#   docker build -t hubel .                               the service and its default model, for CPUs, not as root
#   docker build -t hubel:gpu --build-arg DEVICE=gpu .    the same for GPUs
#   docker build -t hubel:heif --build-arg HEIF=1 .       reads HEIC too, by libraries under the GPL
#   docker build -t hubel:s3 --build-arg S3=1 .           reads bundles from S3, too
#   docker build -t hubel:index --build-arg INDEX=1 .     finds similar photos, too
#   docker build -t hubel:ray --build-arg RAY=1 .         replicas under Ray Serve, for deploy/ray
#   docker build -t hubel:train --target train .          all commands: train, import, evaluate, …; for CPUs
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ARG DEVICE=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/hubel
COPY requirements/serve-${DEVICE}.txt /tmp/serve.txt
RUN /opt/hubel/bin/pip install --quiet --require-hashes -r /tmp/serve.txt
ARG HEIF=
COPY requirements/heif.txt /tmp/heif.txt
RUN [ -z "$HEIF" ] || /opt/hubel/bin/pip install --quiet --require-hashes --no-deps -r /tmp/heif.txt
ARG S3=
COPY requirements/s3.txt /tmp/s3.txt
RUN [ -z "$S3" ] || /opt/hubel/bin/pip install --quiet --require-hashes --no-deps -r /tmp/s3.txt
ARG INDEX=
COPY requirements/index.txt /tmp/index.txt
RUN [ -z "$INDEX" ] || /opt/hubel/bin/pip install --quiet --require-hashes --no-deps -r /tmp/index.txt
ARG RAY=
COPY requirements/ray.txt /tmp/ray.txt
RUN [ -z "$RAY" ] || /opt/hubel/bin/pip install --quiet --require-hashes -r /tmp/ray.txt
WORKDIR /srv/hubel
COPY pyproject.toml setup.py README.md ./
COPY hubel hubel
COPY app app
COPY model model
# The code stays where it is, beside model/; only its entry point goes into the environment.
RUN /opt/hubel/bin/pip install --quiet --no-deps --no-build-isolation --editable . \
 && rm -rf build *.egg-info

FROM packages AS serve-files
RUN /opt/hubel/bin/pip uninstall --quiet --yes setuptools pip \
 && rm -rf /opt/hubel/lib/python3.*/site-packages/onnx/backend/test \
 && find /opt/hubel/lib/python3.*/site-packages/numpy -type d -name tests -prune -exec rm -rf {} + \
 && python -m compileall -q --invalidation-mode unchecked-hash app hubel \
 && chmod -R a+rX /srv/hubel /opt/hubel

FROM ${PYTHON_IMAGE} AS base
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="Hubel" \
      org.opencontainers.image.description="Self-hosted image classification" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin hubel \
 && install -d /models \
 && python -m pip uninstall --quiet --yes --root-user-action ignore setuptools wheel pip \
 && rm -rf /usr/local/lib/python3.11/ensurepip
ENV PATH=/opt/hubel/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HUBEL_HOST=0.0.0.0 HUBEL_PORT=8000 HUBEL_MODELS=/models \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /srv/hubel
VOLUME /models

FROM base AS serve
COPY --from=serve-files /opt/hubel /opt/hubel
COPY --from=serve-files /srv/hubel /srv/hubel
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --retries=3 CMD ["hubel", "health"]
ENTRYPOINT ["hubel"]
CMD ["serve"]
# Last, since they change with every build.
ARG VERSION=
ARG COMMIT=
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${COMMIT}"

FROM packages AS train-files
COPY requirements/train.txt /tmp/train.txt
RUN /opt/hubel/bin/pip install --quiet --require-hashes -r /tmp/train.txt \
 && /opt/hubel/bin/pip uninstall --quiet --yes setuptools pip
COPY training training
RUN python -m compileall -q --invalidation-mode unchecked-hash app hubel training \
 && chmod -R a+rX /srv/hubel /opt/hubel

FROM base AS train
COPY --from=train-files /opt/hubel /opt/hubel
COPY --from=train-files /srv/hubel /srv/hubel
COPY deploy/docker/hubel-as-owner /usr/local/bin/
ENV HOME=/tmp
ENTRYPOINT ["hubel-as-owner"]
CMD ["--help"]
ARG VERSION=
ARG COMMIT=
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${COMMIT}"

# The last stage is what `docker build .` makes.
FROM serve
