# Two commands: `make run` builds Hongyan and shows it at work; `make test` installs what the tests need and passes them all.
# Both start from a Debian machine with git, make, root and the Rust toolchain.

.PHONY: run test docs bench clean

run:
	scripts/setup.sh build
	cargo run --release --locked --package hongyan -- demo

test:
	scripts/setup.sh test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/previous.sh >/dev/null
	HONGYAN_TEST_PYTHON=$(CURDIR)/.venv/bin/python cargo test --workspace --locked

docs:
	cargo xtask docs

bench:
	scripts/setup.sh build
	cargo xtask bench

clean:
	cargo clean
	rm -rf .venv
