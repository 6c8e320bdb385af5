# Completion of apus(1) for bash: commands, and the options that each one's help lists.
_apus() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local tool=${COMP_WORDS[0]} command=${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "serve get ws sse echo bench version help" -- "$word")
  elif [ "$command" = help ]; then
    mapfile -t COMPREPLY < <(compgen -W "serve get ws sse echo bench" -- "$word")
  elif [[ $word == -* ]]; then
    local options
    options=$("$tool" "$command" --help 2>/dev/null | grep -oE -e '^  .{4}--[a-z-]+' |
      grep -oE -e '--[a-z-]+')
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  elif [ "$command" = serve ] && [[ $before != --* ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$word")
  else
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -F _apus apus
