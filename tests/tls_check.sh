#!/usr/bin/env bash
# Looks at the TLS of a running server from outside, with `openssl s_client` as an independent client: versions, ciphers,
# ALPN, SNI, tickets, what is shown and what is refused. The last line is "N passed, M failed".
#
#   tests/tls_check.sh PROGRAM
#
# PROGRAM is the built `gannet`; it makes its own certificates and serves on free ports of this machine.
set -uo pipefail

program=${1:?usage: tests/tls_check.sh PROGRAM}
work=$(mktemp -d)
server=
passed=0 failed=0

cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

request='GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

# s_client ARGS…: a request over TLS, until the server's end; everything that openssl says.
s_client() {
    # shellcheck disable=SC2059 # the format is the request
    printf "$request" | timeout 20 openssl s_client -connect "$address" -ign_eof "$@" 2>&1
}

# check WHAT PATTERN TEXT: the text has a line that matches.
check() {
    if grep -qE "$2" <<<"$3"; then
        passed=$((passed + 1))
        echo "ok - $1"
    else
        failed=$((failed + 1))
        printf 'FAILED - %s: no line matches %s in:\n%s\n' "$1" "$2" "$3"
    fi
}

# refuse WHAT ARGS…: the server ends such a handshake with an alert.
refuse() {
    local what=$1
    shift
    check "$what is refused" 'alert (protocol version|handshake failure|no application protocol)|alert number (40|70|120)' "$(s_client "$@")"
}

"$program" cert self-signed --name localhost --out "$work/first" >/dev/null || exit 1
"$program" cert self-signed --name chess.example --out "$work/chess" >/dev/null || exit 1
cat >"$work/gannet.toml" <<TOML
listen = "127.0.0.1:0"
[backend]
listen = "127.0.0.1:0"
[tls]
cert = "first/cert.pem"
key = "first/key.pem"
certificates = [{ cert = "chess/cert.pem", key = "chess/key.pem" }]
TOML
mkfifo "$work/banner"
"$program" serve --config "$work/gannet.toml" >"$work/banner" 2>&1 &
server=$!
exec 3<"$work/banner"
address=
while read -r line <&3; do
    [[ $line =~ wss://([0-9.:]+)/ws ]] && address=${BASH_REMATCH[1]} && break
done
[ -n "$address" ] || { echo "the server did not start"; exit 1; }

# ---- versions ----
for version in tls1 tls1_1; do
    refuse "$version" "-$version" -cipher 'ALL:@SECLEVEL=0'
done
for version in tls1_2 tls1_3; do
    check "$version is accepted" '^HTTP/1.1 404' "$(s_client "-$version")"
done

# ---- ciphers ----
# RSA key exchange, CBC, 3DES, anonymous and null ones; with an ECDSA key some of them could not be anyway.
for cipher in AES128-SHA AES256-GCM-SHA384 ECDHE-ECDSA-AES128-SHA ECDHE-ECDSA-AES256-SHA384 ECDHE-ECDSA-AES128-CCM8 \
    DHE-RSA-AES128-GCM-SHA256 AECDH-AES128-SHA ECDHE-ECDSA-NULL-SHA; do
    openssl ciphers "$cipher@SECLEVEL=0" >/dev/null 2>&1 || continue
    refuse "$cipher" -tls1_2 -cipher "$cipher:@SECLEVEL=0"
done
for cipher in ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305; do
    check "$cipher is accepted" "Cipher is $cipher" "$(s_client -tls1_2 -cipher "$cipher")"
done
refuse "TLS_AES_128_CCM_8_SHA256" -tls1_3 -ciphersuites TLS_AES_128_CCM_8_SHA256
check "a key is exchanged over X25519" 'Server Temp Key: X25519' "$(s_client -tls1_3 -groups X25519)"
check "compression is off" 'Compression: NONE' "$(s_client -tls1_2)"
check "renegotiation is secure, or there is none" 'Secure Renegotiation IS supported|No Renegotiation|TLSv1.3' "$(s_client -tls1_2)"

# ---- ALPN ----
check "http/1.1 is agreed on" 'ALPN protocol: http/1.1' "$(s_client -alpn h2,http/1.1)"
check "without an offer nothing is agreed on" 'No ALPN negotiated' "$(s_client)"
refuse "h2 alone" -alpn h2

# ---- certificates ----
check "the certificate holds for the name" 'Verification: OK|Verify return code: 0' \
    "$(s_client -servername localhost -verify_hostname localhost -CAfile "$work/first/cert.pem")"
check "another name gets its own certificate" 'Verification: OK|Verify return code: 0' \
    "$(s_client -servername chess.example -verify_hostname chess.example -CAfile "$work/chess/cert.pem")"
check "an unknown name gets the first certificate" 'Verification: OK|Verify return code: 0' \
    "$(s_client -servername other.example -verify_hostname localhost -CAfile "$work/first/cert.pem")"
check "no name gets the first certificate" 'Verification: OK|Verify return code: 0' \
    "$(s_client -noservername -verify_hostname localhost -CAfile "$work/first/cert.pem")"
check "the key is ECDSA on P-256" 'ASN1 OID: prime256v1' "$(openssl x509 -in "$work/first/cert.pem" -noout -text)"
check "the key is for its owner alone" '^600$' "$(stat -c %a "$work/first/key.pem")"

# ---- tickets ----
for version in tls1_2 tls1_3; do
    s_client "-$version" -sess_out "$work/$version.session" >/dev/null
    check "$version comes back with its ticket" '^Reused, TLSv1' "$(s_client "-$version" -sess_in "$work/$version.session")"
done

# ---- what is no TLS ----
# shellcheck disable=SC2059
exec 4<>"/dev/tcp/${address%:*}/${address#*:}" && printf "$request" >&4
check "plain HTTP gets an alert" '^1503' "$(timeout 20 od -An -tx1 <&4 | tr -d ' \n')"
exec 4>&-

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
