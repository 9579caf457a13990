# ./deploy.sh demo. Sourced by deploy.sh.
# shellcheck shell=bash

find_mosquitto() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v mosquitto
}

# start_broker NAME PYTHON: an MQTT broker for this machine only, without memory; sets PORT.
start_broker() {
    local name="$1" python="$2" log="$SCRATCH/broker.log" attempt tries pid
    for attempt in 1 2 3 4 5; do
        PORT="$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
        if [[ "$name" == mosquitto ]]; then
            cat >"$SCRATCH/mosquitto.conf" <<CONF
listener $PORT 127.0.0.1
allow_anonymous true
persistence false
log_dest stderr
log_type error
log_type warning
CONF
            "$(find_mosquitto)" -c "$SCRATCH/mosquitto.conf" >"$log" 2>&1 </dev/null &
        else
            cat >"$SCRATCH/amqtt.yaml" <<CONF
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:$PORT
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
CONF
            "${python%/*}/amqtt" -c "$SCRATCH/amqtt.yaml" >"$log" 2>&1 </dev/null &
        fi
        pid=$!
        CHILDREN+=("$pid")
        for ((tries = 0; tries < 600; tries++)); do
            kill -0 "$pid" 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
                return
            fi
            sleep 0.05
        done
        say "the broker did not come up on port $PORT (try $attempt of 5)"
        kill -TERM "$pid" 2>/dev/null || true
    done
    cat "$log" >&2
    die "no MQTT broker could be started; what $name said stands above"
}

demo() {
    local speed="" broker="" wish="" python groups=(dependencies deploy) venv="$ROOT/.venv-demo"
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --speed | --broker | --python)
            [[ $# -ge 2 ]] || die "$1 needs a value" 2
            case "$1" in
            --speed) speed="$2" ;;
            --broker) broker="$2" ;;
            --python) wish="$2" ;;
            esac
            shift 2
            ;;
        *)
            usage >&2
            die "demo knows no $1" 2
            ;;
        esac
    done
    if [[ -z "$broker" ]]; then
        broker=amqtt
        if find_mosquitto >/dev/null; then
            broker=mosquitto
        fi
    fi
    case "$broker" in
    mosquitto) find_mosquitto >/dev/null || die "mosquitto isn't installed: apt-get install mosquitto, or --broker amqtt" ;;
    amqtt) groups+=(demo) ;;
    *) die "--broker is mosquitto or amqtt, not $broker" 2 ;;
    esac

    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    python="$(find_python "$wish")"
    need_libseccomp "$python"
    make_venv "$venv" "$python" "${groups[@]}"
    SCRATCH="$(mktemp -d)"
    step "starting $broker on loopback, for this trial only"
    start_broker "$broker" "$venv/bin/python"
    # In the background, so that a signal to this script is acted on at once and not when the trial is over.
    "$venv/bin/python" -m edge demo --port "$PORT" ${speed:+--speed "$speed"} &
    CHILDREN+=("$!")
    wait "$!"
}
