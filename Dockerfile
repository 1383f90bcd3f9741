# syntax=docker/dockerfile:1
# One image for all services and commands: `docker run tandem services.producer --help`.

FROM python:3.13-slim AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/tandem && python -m venv /opt/build
COPY requirements-build.lock ./
RUN /opt/build/bin/pip install --require-hashes --requirement requirements-build.lock
COPY requirements-runtime.lock ./
# Half of what compiled packages weigh is for debuggers. Those with a library of their own beside them stay as they are.
RUN /opt/build/bin/pip --python /opt/tandem/bin/python install --no-compile --require-hashes --only-binary :all: --requirement requirements-runtime.lock \
    && find /opt/tandem -name '*.so' -exec strip --strip-unneeded {} +
COPY pyproject.toml README.md ./
COPY libs libs
COPY services services
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/build/bin/pip --python /opt/tandem/bin/python install --no-compile --no-deps --no-index /wheels/*.whl
# Bytecode of what the services import, and of nothing else, the standard library's included, which this base image lacks.
RUN PYTHONPYCACHEPREFIX=/opt/tandem/bytecode /opt/tandem/bin/python -c "import services.producer.__main__, services.consumer.__main__, services.ops.__main__"

FROM python:3.13-slim
# Nothing in here installs anything: pip goes, also the one that would come back by `ensurepip`.
RUN python -c "import ensurepip, pip, pathlib, shutil; [shutil.rmtree(pathlib.Path(m.__file__).parent) for m in (ensurepip, pip)]" \
    && rm -f /usr/local/bin/pip* \
    && install --directory --owner 10001 --group 10001 /var/lib/tandem
COPY --from=build /opt/tandem /opt/tandem
# SAFEPATH: else the folder that a service may write to would come first among those that modules are taken from.
ENV PATH=/opt/tandem/bin:$PATH PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONPYCACHEPREFIX=/opt/tandem/bytecode ADMIN_HOST=0.0.0.0 ADMIN_PORT=8000
WORKDIR /var/lib/tandem
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "tandem.admin.probe"]
ENTRYPOINT ["python", "-m"]
CMD ["services.producer"]

# Last, because they change with each commit and nothing else does.
ARG VERSION=unknown REVISION=unknown CREATED=unknown
LABEL org.opencontainers.image.title="tandem" \
      org.opencontainers.image.description="A pair of asyncio services around Apache Kafka, and a proof that nothing got lost between them" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
