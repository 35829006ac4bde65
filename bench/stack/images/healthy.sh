#!/bin/sh
# Is the service in this container well? `healthy redis`, `healthy http PORT PATH`. With what the image has:
# a client of the service, bash with its own TCP, or wget.
case "$1" in
  redis)
    for client in redis-cli valkey-cli; do
      if command -v "$client" > /dev/null; then
        [ "$("$client" ping)" = PONG ]
        exit
      fi
    done
    exec bash -c 'exec 3<> /dev/tcp/127.0.0.1/6379; printf "PING\r\n" >&3; read -r -t 1 line <&3; [[ $line == +PONG* ]]'
    ;;
  http)
    if command -v bash > /dev/null; then
      exec bash -c 'exec 3<> "/dev/tcp/127.0.0.1/$0"
        printf "GET %s HTTP/1.0\r\nHost: health\r\n\r\n" "$1" >&3; read -r -t 1 line <&3; [[ $line == *" 200 "* ]]' "$2" "$3"
    fi
    exec wget -q -T 1 -O /dev/null "http://127.0.0.1:$2$3"
    ;;
esac
exit 2
