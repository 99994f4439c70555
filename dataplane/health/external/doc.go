// Package external runs the check programs that an administrator put into one directory of this host.
//
// A program is named by its file name. It must be a regular, executable file of root that nobody else
// can write, in a directory of root that nobody else can write; symbolic links are not followed. It
// is opened once, examined, and run from that descriptor, so nothing can be exchanged in between.
// No shell is involved. The program runs
//   - as user and group 65534 (nobody) with no further group, when the caller is root;
//   - with no capability and no_new_privs (prctl(2), Documentation/userspace-api/no_new_privs.rst);
//   - in a process group of its own, which is killed when the program ends or its time is up;
//   - in the directory /, with /dev/null as input, and this environment alone:
//     TRUEPACS_SERVER_ADDRESS, TRUEPACS_SERVER_PORT, TRUEPACS_CHECK_TIMEOUT (seconds, such as 2.5),
//     PATH=/usr/sbin:/usr/bin:/sbin:/bin.
//
// Exit status 0 means that the server works, 1 that it does not; any other is a fault of the program.
// The first 256 bytes of what it prints, made printable, go into the message; the rest is dropped. A
// program must print nothing about patients.
//
// To become nobody, an agent that is root needs CAP_SETUID and CAP_SETGID. It reads the file as
// nobody again if it is a script: give it mode 0755.
//
// Of this module it may import dataplane/health only.
package external
