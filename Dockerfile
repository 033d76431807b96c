# The service and its default model; no compiler, no pip, no root.
#   docker build -t hubel .                               for CPUs
#   docker build -t hubel:gpu --build-arg DEVICE=gpu .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG DEVICE=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/hubel
COPY requirements/serve-${DEVICE}.txt /tmp/serve.txt
RUN /opt/hubel/bin/pip install --quiet --require-hashes -r /tmp/serve.txt
WORKDIR /srv/hubel
COPY pyproject.toml README.md ./
COPY app app
COPY model model
# The package stays where it is, beside model/; only its entry point goes into the environment.
RUN /opt/hubel/bin/pip install --quiet --no-deps --no-build-isolation --editable . \
 && rm -rf build *.egg-info \
 && /opt/hubel/bin/pip uninstall --quiet --yes setuptools pip \
 && rm -rf /opt/hubel/lib/python3.*/site-packages/onnx/backend/test \
 && find /opt/hubel/lib/python3.*/site-packages/numpy -type d -name tests -prune -exec rm -rf {} + \
 && python -m compileall -q --invalidation-mode unchecked-hash app \
 && chmod -R a+rX /srv/hubel /opt/hubel

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Hubel" \
      org.opencontainers.image.description="Self-hosted image classification" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin hubel \
 && install -d /models \
 && python -m pip uninstall --quiet --yes --root-user-action ignore setuptools wheel pip \
 && rm -rf /usr/local/lib/python3.11/ensurepip
COPY --from=build /opt/hubel /opt/hubel
COPY --from=build /srv/hubel /srv/hubel
ENV PATH=/opt/hubel/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HUBEL_HOST=0.0.0.0 HUBEL_PORT=8000 HUBEL_MODELS=/models \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /srv/hubel
USER 10001
EXPOSE 8000
VOLUME /models
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --retries=3 CMD ["hubel", "health"]
ENTRYPOINT ["hubel"]
CMD ["serve"]
