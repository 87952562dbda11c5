# HMAC-SHA256 (RFC 2104) from busybox alone; sourced by init and by a test that runs the vectors of RFC 4231.
# Keys, digests and messages in shell variables are lower-case hex: a shell cannot hold a zero byte.

# unhex HEX: the bytes, on standard output.
unhex() {
    unhex_left=$1
    # 32 bytes at a time: short formats for printf, and no quadratic cutting of a long string.
    while [ -n "$unhex_left" ]; do
        unhex_part=${unhex_left%"${unhex_left#????????????????????????????????????????????????????????????????}"}
        [ -n "$unhex_part" ] || unhex_part=$unhex_left
        unhex_left=${unhex_left#"$unhex_part"}
        unhex_escaped=
        while [ -n "$unhex_part" ]; do
            unhex_escaped="$unhex_escaped\\x${unhex_part%"${unhex_part#??}"}"
            unhex_part=${unhex_part#??}
        done
        printf "$unhex_escaped"
    done
}

# hmac_pad KEY MASK: KEY filled up with zeroes to a block of 64 bytes, each byte xor MASK, as printf escapes.
hmac_pad() {
    hmac_key=$1 hmac_count=0
    while [ "$hmac_count" -lt 64 ]; do
        hmac_byte=${hmac_key%"${hmac_key#??}"}
        hmac_key=${hmac_key#??}
        printf '\\x%02x' $((0x${hmac_byte:-00} ^ $2))
        hmac_count=$((hmac_count + 1))
    done
}

sha256() {
    sha256sum | cut -c 1-64
}

# hmac KEY: the tag of standard input under KEY, in hex.
hmac() {
    hmac_long=$1
    [ ${#hmac_long} -le 128 ] || hmac_long=$(unhex "$hmac_long" | sha256)
    hmac_inner=$(hmac_pad "$hmac_long" 0x36)
    hmac_outer=$(hmac_pad "$hmac_long" 0x5c)
    hmac_digest=$({ printf "$hmac_inner"; cat; } | sha256)
    { printf "$hmac_outer"; unhex "$hmac_digest"; } | sha256
}
