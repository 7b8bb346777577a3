# One image for scheduler, workers and the client that submits.
ARG BASE=python:3.12.12-slim-bookworm
FROM ${BASE}

# Volumes that are first mounted at /data or /store belong to this user from then on.
RUN useradd --uid 1000 scorefold && install -d -o scorefold -g scorefold /data /store

WORKDIR /opt/scorefold
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN --mount=type=cache,target=/root/.cache/pip pip install '.[s3,metrics]'

USER 1000:1000
WORKDIR /data
# What is kept between processes goes to /tmp: the rest of the container may be read-only.
ENV HOME=/tmp NUMBA_CACHE_DIR=/tmp/numba PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 \
    DASK_CONFIG=/opt/scorefold/src/scorefold/cluster/dask.yaml
