# One image for every process of a server: web UI (the default), daemon, and the command line.
#   docker build -t campaign_pipeline .
#   docker run … campaign_pipeline                      the web UI, on port 3000
#   docker run … campaign_pipeline dagster-daemon run   schedules, sensors, queue
#   docker run … campaign_pipeline campaign init        the ledger's tables, once
#   docker run … campaign_pipeline campaign serve --only webhooks --host 0.0.0.0        WhatsApp's webhooks, on port 8080
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/venv
COPY requirements.runtime.lock ./
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY campaign_pipeline ./campaign_pipeline
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 campaign \
    && install -d -o campaign -g campaign /srv/campaign /srv/campaign/data /srv/dagster
COPY --from=build /opt/venv /opt/venv
COPY --chown=campaign:campaign workspace.yaml /srv/campaign/
COPY --chown=campaign:campaign deploy/dagster.postgres.yaml /srv/dagster/dagster.yaml
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/srv/dagster \
    CAMPAIGN_DATA_DIR=/srv/campaign/data
USER campaign
WORKDIR /srv/campaign
VOLUME /srv/campaign/data
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/server_info', timeout=4)"]
CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3000", "--workspace", "workspace.yaml"]
