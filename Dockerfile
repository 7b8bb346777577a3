# One image for scheduler, workers and the client that submits.
FROM python:3.12-slim-bookworm

RUN useradd --create-home --uid 1000 scorefold
WORKDIR /opt/scorefold
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir .

USER scorefold
WORKDIR /data
ENV OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_CACHE_DIR=/tmp/numba
ENV DASK_CONFIG=/opt/scorefold/src/scorefold/cluster/dask.yaml
