# SPDX-License-Identifier: BSD-3-Clause
# bash completion for sluicectl: the candidates are sluicectl's own, with the names that the running
# sluiced has. Installed as .../bash-completion/completions/sluicectl; may be sourced as well.

_sluicectl()
{
	local line
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			compopt -o default
		else
			COMPREPLY+=("$line")
		fi
	done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}

complete -F _sluicectl sluicectl
