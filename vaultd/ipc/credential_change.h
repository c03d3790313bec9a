// SPDX-License-Identifier: Apache-2.0
// How the versions of a credential change: fields of ask_credential_put and
// ask_credential_step. docs/rotation.md has the state machine.
#ifndef VLT_IPC_CREDENTIAL_CHANGE_H
#define VLT_IPC_CREDENTIAL_CHANGE_H

#define CREDENTIAL_GRACE_MAX_S (30 * 86400)

enum credential_put_mode {
    CREDENTIAL_ROTATE, // must exist; in use at once
    CREDENTIAL_CREATE, // must not exist
    CREDENTIAL_STAGE,  // must exist; waits to be verified and promoted
    CREDENTIAL_PUT_MODE_COUNT
};
// What the profile can put into a request. A value of another form would be stored
// and never work.
enum credential_form {
    CREDENTIAL_FORM_ANY,  // what a provider made is not refused: trying it shows
    CREDENTIAL_FORM_LINE, // is encoded first: no control characters (RFC 7617 section 2)
    CREDENTIAL_FORM_TEXT, // as it is: visible ASCII, spaces inside (RFC 9110 section 5.5)
    CREDENTIAL_FORM_COUNT
};
enum credential_step {
    CREDENTIAL_VERIFIED = 1, // somebody saw that the staged version works
    CREDENTIAL_PROMOTE,      // it is in use, the one before opens during its grace
    CREDENTIAL_ABANDON,      // it is destroyed
    CREDENTIAL_STEP_COUNT
};

#endif
