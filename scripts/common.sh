# Shared by scripts/demo and scripts/test: options, packages, build. Source it after setting `usage` to the help text.
# shellcheck shell=bash disable=SC2154

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ocl-icd-opencl-dev: boxcam does not use OpenCL, but the CMake file of libdnnl-dev looks for it.
packages=(cmake ninja-build g++ pkg-config libdnnl-dev ocl-icd-opencl-dev libstb-dev libjpeg-dev libcli11-dev
          nlohmann-json3-dev libzip-dev libpugixml-dev libtomlplusplus-dev zlib1g-dev libssl-dev libcurl4-openssl-dev libprotobuf-dev
          protobuf-compiler libgtest-dev libbenchmark-dev)
install=yes
jobs=$(nproc)
rest=()

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# Sets `install`, `jobs`, and `rest` to what follows `--`.
parse_options() {
  while (($# > 0)); do
    case $1 in
      --help) echo "$usage"; exit 0 ;;
      --no-install) install=no ;;
      --jobs)
        [[ ${2-} =~ ^[1-9][0-9]*$ ]] || die "--jobs expects a number of 1 or more, found '${2-}'."
        jobs=$2
        shift
        ;;
      --) shift; rest=("$@"); return ;;
      *) die "unknown option '$1'; --help lists the options." ;;
    esac
    shift
  done
}

# Installs what is missing of `packages`. The names are the same on Debian 12 and Ubuntu 22.04 and later, but Ubuntu's
# cmake is new enough from 24.04 on.
install_missing() {
  if ! command -v dpkg-query apt-get > /dev/null; then
    echo "No apt on this system: looking for the libraries as they are. They are listed in README.md."
    return
  fi
  local package missing=()
  for package in "${packages[@]}"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null) == installed ]] ||
      missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  [[ $install == yes ]] || die "these packages are missing and --no-install was given: ${missing[*]}."

  local as_root=()
  if ((EUID != 0)); then
    command -v sudo > /dev/null || die "these packages are missing and need root or sudo to be installed: ${missing[*]}."
    as_root=(sudo)
  fi
  echo "Installing with apt-get: ${missing[*]}"
  "${as_root[@]}" apt-get update --quiet
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
    "${missing[@]}" < /dev/null
}

# configure_and_build PRESET [TARGET...]: all targets unless some are named. BOXCAM_CMAKE_ARGS holds further arguments
# for cmake, separated by spaces.
configure_and_build() {
  local preset=$1 needed=3.25 found cmake_arguments targets=()
  shift
  (($# == 0)) || targets=(--target "$@")
  read -ra cmake_arguments <<< "${BOXCAM_CMAKE_ARGS-}"
  found=$(cmake --version | sed -n 's/^cmake version //p')
  printf '%s\n' "$needed" "$found" | sort --version-sort --check=quiet ||
    die "cmake $needed or newer is needed, found $found (Debian 12 and Ubuntu 24.04 have it)."
  cmake --preset "$preset" "${cmake_arguments[@]}"
  cmake --build --preset "$preset" --parallel "$jobs" "${targets[@]}"
}
