# What a change has to pass. `make check` runs every step, as continuous integration does;
# `make -k check` goes on after a failure. Each step also runs alone: `make lint`, `make test`, ...
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export MPLBACKEND = Agg

#: Where the results of the tests are written, one file a step.
RESULTS ?= .results
#: Processes that run the tests.
JOBS ?= 2
#: Least share of lines, in percent, that the tests have to run.
FLOOR = 95

# The same examples every time. No selected test is no failure: pytest then exits with 5.
define tests
pytest --quiet --hypothesis-profile=ci --junitxml=$(RESULTS)/$@.xml $(1) || [ $$? -eq 5 ]
endef
measured = --cov=calib --cov=uq --cov-append --cov-report=

STEPS = lint format types lists spelling test simulations notebooks coverage docs

.PHONY: check help erase release-check $(STEPS)

check: $(STEPS)

help:
	@echo "make check runs: $(STEPS)"

lint:
	ruff check .

format:
	ruff format --check .

types:
	mypy

# the README's table and the lazy names of `calib` against the registry
lists:
	python tools/generate_exports.py --check

spelling:
	codespell

erase:
	coverage erase

test: erase
	$(call tests,-n $(JOBS) $(measured) -m "not slow and not notebook and not site")

simulations:
	$(call tests,-n $(JOBS) -m "slow and not notebook and not site")

notebooks:
	$(call tests,-m notebook)

coverage: test
	coverage report --skip-covered --fail-under=$(FLOOR)

# the site, offline and without a warning, then its links, its search and its looks
docs:
	sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --jobs 2 -b html docs docs/_build/html
	CALIB_REQUIRE_SITE=1 $(call tests,tests/site)

# the archives of a release: built, checked, installed without extras, tried
release-check:
	python tools/check_release.py
