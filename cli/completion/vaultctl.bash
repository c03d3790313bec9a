# SPDX-License-Identifier: Apache-2.0
# Completion of vaultctl for bash, made by `vaultctl completion bash`.
# zsh: autoload -U bashcompinit && bashcompinit, then source this file.
_vaultctl() {
    local current="${COMP_WORDS[COMP_CWORD]}" noun="" name="" word i options
    local global=" --server --broker --ca --tenant --json --help"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if [[ $word == -* ]]; then
            case $word in
            --json | --help | -h | *=*) ;;
            *) [[ " --server --broker --ca --tenant " == *" $word "* ]] && ((i++)) ;;
            esac
        elif [[ -z $noun ]]; then noun="$word"
        elif [[ -z $name ]]; then name="$word"
        fi
    done
    if [[ -z $noun && $current != -* ]]; then
        COMPREPLY=($(compgen -W "init status seal unseal recover backup restore tenant issuer policy credential rotate key device forwarder token exec revoke audit completion help" -- "$current"))
        return
    fi
    case $noun in
    tenant)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "create list show disable enable" -- "$current"))
            return
        fi
        ;;
    issuer)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "add list show check remove" -- "$current"))
            return
        fi
        ;;
    policy)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "put check show test explain" -- "$current"))
            return
        fi
        ;;
    credential)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "put list show rotate automate verify promote abandon rollback disable enable delete" -- "$current"))
            return
        fi
        ;;
    rotate)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "credential signing intake checkpoint tenant system wrapping" -- "$current"))
            return
        fi
        ;;
    key)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "list destroy" -- "$current"))
            return
        fi
        ;;
    device)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "list add remove boot authorize-boot attest verify-attestation" -- "$current"))
            return
        fi
        ;;
    forwarder)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "enrol list remove" -- "$current"))
            return
        fi
        ;;
    token)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "get" -- "$current"))
            return
        fi
        ;;
    audit)
        if [[ -z $name && $current != -* ]]; then
            COMPREPLY=($(compgen -W "tail search index unused inventory show export verify prove check witness archive prune" -- "$current"))
            return
        fi
        ;;
    *) name="" ;;
    esac
    if [[ $current == -* ]]; then
        case "$noun${name:+ $name}" in
        "init") options=" --shares --threshold --recovery-key" ;;
        "status") options=" --check" ;;
        "seal") options="" ;;
        "unseal") options="" ;;
        "recover") options=" --accept-rollback --share-file --private-key --show-sealed --sealed" ;;
        "backup") options="" ;;
        "restore") options=" --store --key" ;;
        "tenant create") options=" --description" ;;
        "tenant list") options="" ;;
        "tenant show") options="" ;;
        "tenant disable") options="" ;;
        "tenant enable") options="" ;;
        "issuer add") options=" --file --issuer --discovery --jwks --audience --algorithm --kind --subject-claim --require --group --tag --device-compliant --device-managed --token-type --max-age --no-check" ;;
        "issuer list") options="" ;;
        "issuer show") options="" ;;
        "issuer check") options="" ;;
        "issuer remove") options="" ;;
        "policy put") options=" --expected-version" ;;
        "policy check") options="" ;;
        "policy show") options=" --text" ;;
        "policy test") options=" --policies --verbose" ;;
        "policy explain") options=" --principal --kind --group --tag --device --acr --amr --actor --actor-group --actor-tag --action --credential --profile --host --method --path --model --tool --max-tokens --ip --time --client --forwarder --bearer --policies --all" ;;
        "credential put") options=" --file --profile --host --parameter --description" ;;
        "credential list") options="" ;;
        "credential show") options="" ;;
        "credential rotate") options=" --file --profile --host --parameter --description --stage --grace" ;;
        "credential automate") options=" --recipe --parameter --manager --key-id --days --grace --off" ;;
        "credential verify") options=" --tested" ;;
        "credential promote") options=" --grace" ;;
        "credential abandon") options="" ;;
        "credential rollback") options=" --grace" ;;
        "credential disable") options="" ;;
        "credential enable") options="" ;;
        "credential delete") options=" --yes" ;;
        "rotate credential") options=" --all --dry-run --detach --file --profile --host --parameter --description --stage --grace" ;;
        "rotate signing") options=" --emergency --dry-run" ;;
        "rotate intake") options=" --emergency --dry-run" ;;
        "rotate checkpoint") options=" --emergency --dry-run" ;;
        "rotate tenant") options=" --all --rate --detach --dry-run" ;;
        "rotate system") options=" --detach --dry-run" ;;
        "rotate wrapping") options=" --detach --dry-run" ;;
        "key list") options=" --all" ;;
        "key destroy") options="" ;;
        "device list") options="" ;;
        "device add") options=" --detach" ;;
        "device remove") options=" --detach" ;;
        "device boot") options=" --device" ;;
        "device authorize-boot") options=" --device --key --signature --prepare --event-log --pcr-file --pcr" ;;
        "device attest") options=" --out --device --nonce --challenge --chain" ;;
        "device verify-attestation") options=" --nonce --root --challenge --attestation-key" ;;
        "forwarder enrol") options=" --user --uid --certificate --thumbprint --for-tenant" ;;
        "forwarder list") options="" ;;
        "forwarder remove") options="" ;;
        "token get") options=" --credential --model --path --method --tool --max-tokens --subject-token-file --subject-token-type --actor-token-file --key --bearer" ;;
        "exec") options=" --credential --model --path --method --tool --max-tokens --subject-token-file --subject-token-type --actor-token-file --profile --forwarder --bind --profiles-dir" ;;
        "revoke") options=" --principal --client --credential --token-file --key" ;;
        "audit tail") options=" --follow --count --all-tenants" ;;
        "audit search") options=" --log --key --archive --index --no-index --principal --actor --administrator --credential --decision --correlation --token-id --operation --since --until --count --all-tenants --pseudonym-key" ;;
        "audit index") options=" --log --key --archive --index" ;;
        "audit unused") options=" --log --key --archive --index --no-index --days" ;;
        "audit inventory") options=" --log --key --archive --index --no-index --since" ;;
        "audit show") options=" --log --key --archive --index --no-index" ;;
        "audit export") options=" --log --key --archive --first --last" ;;
        "audit verify") options=" --log --key --archive --from --policy --cosigned" ;;
        "audit prove") options=" --log --key --archive --output --entry" ;;
        "audit check") options=" --key" ;;
        "audit witness") options=" --log --key --witness-key --output" ;;
        "audit archive") options=" --log --key --to" ;;
        "audit prune") options=" --log --key --before --archive --policy --cosigned" ;;
        "completion") options="" ;;
        *) options="" ;;
        esac
        COMPREPLY=($(compgen -W "$options $global" -- "$current"))
    else
        COMPREPLY=($(compgen -f -- "$current"))
    fi
}
complete -o filenames -F _vaultctl vaultctl
