# Everything a person or CI runs. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check unit e2e docs-test install-test monitoring-test model cases shapes chaos cuts up down clean images release crds audit

chart := charts/cassandra-operators
cache := $(or $(CASSANDRA_OPERATORS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cassandra-operators)
deny := $(cache)/tools/bin/cargo-deny
machete := $(cache)/tools/bin/cargo-machete
cyclonedx := $(cache)/tools/bin/cargo-cyclonedx

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
	@echo
	@echo "With KUBE_CONTEXT=<context>, demo and e2e use that cluster; see README.md."

demo: ## Create a ring, update it from 4.1 to 5.0 under load, watch it live; NODES=2 has two nodes in a rack
ifdef KUBE_CONTEXT
	NODES=$(NODES) e2e/run cargo run --quiet --package e2e --bin demo
else
	NODES=$(NODES) e2e/run demo
endif

test: check unit e2e ## Lints, unit tests, end to end: what each change must pass

check: $(deny) $(machete) ## Formatting, lints, documentation, dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features e2e/cluster --locked -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --locked --quiet
	$(deny) --all-features check bans licenses sources
	$(machete)
	! cargo tree --package provisioner --edges normal | grep -w ops-manager
	! cargo tree --package ops-manager --edges normal | grep -w provisioner
	! cargo tree --package desired --edges normal | grep -wE 'tokio|hyper|rand|scylla|kube-client'

unit: ## Tests that need no cluster
	cargo test --workspace --locked

e2e: ## Tests on a real cluster with real Cassandra
	e2e/run bash -euo pipefail -c ' \
	  helm lint --strict $(chart); \
	  cargo test --workspace --features e2e/cluster --locked \
	    --test chart --test validation --test real_api --test ring --test standalone -- --test-threads=1 --nocapture; \
	  cargo test --workspace --features e2e/cluster --locked --test docs -- a_block_is_run_or_known a_link_leads_to_a_file; \
	  [ -n "$${KUBE_CONTEXT:-}" ] || cargo test --workspace --features e2e/cluster --locked --test rights'

docs-test: ## Every command of the documentation, on the cluster; DOC=<part of a file's name> selects
	e2e/run cargo test --workspace --features e2e/cluster --locked --test docs -- --test-threads=1 --nocapture

install-test: ## The chart beside a running Cassandra: upgraded, limited to a namespace, uninstalled, installed again
	e2e/run cargo test --workspace --features e2e/cluster --locked --test install -- --nocapture

monitoring-test: ## Alerts and dashboard in a real Prometheus, while a ring is updated; PICTURE=<file.png> draws it
	PICTURE=$(abspath $(PICTURE)) e2e/run cargo test --workspace --features e2e/cluster --locked --test monitoring -- --test-threads=1 --nocapture

model: ## The halt protocol in every order of events, in larger bounds than the tests have
	cargo test --package ops-manager --locked --test halt_protocol -- --include-ignored --nocapture --test-threads=1

cases: ## What people met with Cassandra on Kubernetes: each works or is told, as a table; ROW=<words of names> selects
	e2e/run cargo test --workspace --features e2e/cluster --locked --test cases -- $(ROW)
shapes: ## Rings of every shape, and what they do when they lose volumes, as a table; ROW=<words of names> selects
	e2e/run cargo test --workspace --features e2e/cluster --locked --test shapes -- $(ROW)

chaos: ## Faults at every step of real updates, as a table; ROW=<words of names> selects
	e2e/run cargo test --workspace --features e2e/cluster --locked --test chaos -- $(ROW)

cuts: ## An operator dies before and after each single write of an update, a restart and a scaling, as a table; ROW selects
	e2e/run cargo test --workspace --features e2e/cluster --locked --test cuts -- $(ROW)

up: ## Start the embedded cluster with the operators in it
	e2e/run true
	@echo 'eval "$$(e2e/cluster/cluster env)" lets you use it'

down: ## End the embedded cluster and remove all that it left on this machine
	e2e/cluster/cluster down

clean: down ## The same, and remove what was built in this checkout
	cargo clean --quiet

images: ## Build the images of the operators as archives
	e2e/images/build operators

release: $(cyclonedx) ## Chart, images and bills of materials of this version, with their checksums, into target/release-files
	rm -rf target/release-files
	e2e/images/build release target/release-files
	PATH="$$(e2e/cluster/cluster tool helm):$$PATH" helm package $(chart) --destination target/release-files
	SOURCE_DATE_EPOCH=0 $(cyclonedx) cyclonedx --quiet --format json
	for binary in provisioner ops-manager render-config; do \
	  sed 's|$(CURDIR)|/src|g' crates/$$binary/$$binary.cdx.json >target/release-files/cassandra-$$binary.cdx.json; \
	done
	find crates e2e -name '*.cdx.json' -delete
	cd target/release-files; sums=$$(sha256sum *); echo "$$sums" | tee SHA256SUMS

crds: ## Write the definitions into the chart, from the types
	cargo run --quiet --package api --bin crdgen -- $(chart)/crds

audit: $(deny) ## Known vulnerabilities of the dependencies; needs the internet
	$(deny) check advisories

$(deny):
	cargo install --locked --quiet cargo-deny --version 0.20.2 --root $(cache)/tools

$(cyclonedx):
	cargo install --locked --quiet cargo-cyclonedx --version 0.5.9 --root $(cache)/tools

$(machete):
	cargo install --locked --quiet cargo-machete --version 0.9.2 --root $(cache)/tools
