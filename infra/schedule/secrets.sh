# For night.sh and minute.sh: exports the lines NAME=value of the file that NIGHT_SECRETS names. A value
# is taken as it stands, as systemd does, so blanks, & and $ need no quotes; a pair around it is left
# out. What cannot be read sets code to 2, and the job goes on.
if [ -n "${NIGHT_SECRETS:-}" ] && ! [ -f "$NIGHT_SECRETS" -a -r "$NIGHT_SECRETS" ]; then
  echo "NIGHT_SECRETS names $NIGHT_SECRETS, which is no file that can be read: the job runs without it" >&2
  code=2
elif [ -n "${NIGHT_SECRETS:-}" ]; then
  number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${line%"$(printf '\r')"}
    line=${line#export }
    name=${line%%=*}
    value=${line#*=}
    case $line in '' | '#'*) continue ;; esac
    case $name in
      "$line" | '' | [0-9]* | *[!A-Za-z0-9_]*)
        echo "line $number of $NIGHT_SECRETS is not NAME=value: it is left out" >&2
        code=2
        continue
        ;;
    esac
    case $value in \"*\" | \'*\') value=${value#?} value=${value%?} ;; esac
    export "$name=$value"
  done < "$NIGHT_SECRETS"
fi
