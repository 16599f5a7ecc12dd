// completion SHELL: prints the script that teaches a shell to ask grayctl itself (complete.c).
// Nothing in a script knows a verb, so that one that was installed fits every version.
#include "base/json.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include <errno.h>
#include <string.h>

static const char bash[] =
    "# bash completion for grayctl(1); made by: grayctl completion bash\n"
    "_grayctl() {\n"
    "    local line suffix cur=${COMP_WORDS[COMP_CWORD]}\n"
    "    COMPREPLY=()\n"
    "    [[ $cur != = ]] || cur=\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "            :files*)\n"
    "                suffix=${line#:files}\n"
    "                suffix=${suffix# }\n"
    "                compopt -o filenames\n"
    "                while IFS= read -r line; do\n"
    "                    [[ -d $line || $line == *\"$suffix\" ]] && COMPREPLY+=(\"$line\")\n"
    "                done < <(compgen -f -- \"$cur\")\n"
    "                ;;\n"
    "            *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
    "        esac\n"
    "    done < <(\"$1\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _grayctl grayctl\n";

static const char zsh[] =
    "#compdef grayctl\n"
    "# zsh completion for grayctl(1); made by: grayctl completion zsh\n"
    "_grayctl() {\n"
    "    local line suffix files=0\n"
    "    local -a found\n"
    "    for line in \"${(@f)$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" "
    "2>/dev/null)}\"; do\n"
    "        case $line in\n"
    "            (:files*) files=1; suffix=${${line#:files}# } ;;\n"
    "            (?*) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    (( ! ${#found} )) || _describe grayctl found\n"
    "    if (( files )); then\n"
    "        compset -P '--*='\n"
    "        _files -g \"*$suffix\"\n"
    "    fi\n"
    "}\n"
    "if [[ ${funcstack[1]} == _grayctl ]]; then\n"
    "    _grayctl \"$@\"\n"
    "else\n"
    "    compdef _grayctl grayctl\n"
    "fi\n";

static const char fish[] =
    "# fish completion for grayctl(1); made by: grayctl completion fish\n"
    "function __grayctl_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    set -l program $words[1]\n"
    "    set -e words[1]\n"
    "    $program __complete $words \"$current\" 2>/dev/null | while read -l line\n"
    "        switch $line\n"
    "            case ':files *'\n"
    "                __fish_complete_suffix (string replace ':files ' '' -- $line)\n"
    "            case ':files'\n"
    "                __fish_complete_path (string replace -r '^--[^=]*=' '' -- \"$current\")\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c grayctl -f -a '(__grayctl_complete)'\n";

static void print(struct gr_cli *cli, const char *shell, const char *script)
{
    if (cli->format == GR_FORMAT_TABLE || cli->format == GR_FORMAT_WIDE) {
        fputs(script, cli->out);
        return;
    }
    GR_AUTO_JSON cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "shell", shell);
    cJSON_AddStringToObject(o, "script", script);
    gr_output_object(cli, o, NULL, 0, "shell");
}

enum gr_exit gr_verb_completion(struct gr_cli *cli, const struct gr_args *args)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    struct gr_error e = {0};
    for (size_t i = 0; i < GR_COUNT(scripts); i++)
        if (!strcmp(args->words[0], scripts[i].shell)) {
            print(cli, scripts[i].shell, scripts[i].script);
            return GR_EXIT_OK;
        }
    gr_error_set(&e, -EINVAL, GR_REASON_NONE, "completion: expected bash, zsh or fish, got %.64s",
                 args->words[0]);
    return gr_cli_fail(cli, &e);
}
