# The guide's Dockerfile, on the base image of this project, with PyTorch's CPU build; the guide's
# own `pip install` would bring gigabytes of CUDA.
ARG BASE=python:3.11-slim
FROM ${BASE}
WORKDIR /app
RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*
ENV HF_HOME=/tmp/huggingface_cache
RUN mkdir -p $HF_HOME && chmod -R 777 /tmp/huggingface_cache
# In the place of Debian's Python, whose packages pip must not touch, where the base has that one.
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
ARG TORCH_INDEX=
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} torch==2.13.0
RUN pip install --no-cache-dir 'fastapi>=0.68.0' 'uvicorn>=0.15.0' \
    'sentence-transformers>=2.2.2' 'qdrant-client>=1.1.1' torch==2.13.0
COPY original_app.py app.py
EXPOSE 7860
CMD ["uvicorn", "app:app", "--host", "0.0.0.0", "--port", "7860"]
