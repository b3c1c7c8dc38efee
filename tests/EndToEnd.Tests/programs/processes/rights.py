"""Programs of everyday that run as another user, in another root or with another environment. See common.py; needs root."""
import os, subprocess, tempfile
from common import *

ECHO = 'exec 3<>/dev/tcp/$1/$2; echo echo >&3; echo "$(id -u)" >&3; read -r x <&3; echo "got $x"'
PERL = """use IO::Socket::INET; use POSIX; chroot($ARGV[2]) or die; chdir('/');
POSIX::setgid(65534); POSIX::setuid(65534); my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1]) or die "no: $!";
print $s "echo\\nuid $<\\n"; print scalar <$s>; print -e '/etc' ? 'old root' : 'new root', "\\n" """


def run(*command):
    r = subprocess.run([*command, ADDRESS, str(PORT)], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stdout, r.stderr


@case
def another_user():
    return run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "bash", "-c", ECHO, "bash")


@case
def another_user_without_new_rights():
    return run("setpriv", "--reuid=65534", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--clear-groups", "bash", "-c", ECHO, "bash")


@case
def chroot_to_the_same_root_as_another_user():
    return run("chroot", "--userspec=65534:65534", "/", "bash", "-c", ECHO, "bash")


@case
def another_mount_namespace():
    return run("unshare", "-m", "bash", "-c", ECHO, "bash")


@case
def another_user_namespace():
    return run("unshare", "-r", "bash", "-c", ECHO, "bash")


@case
def a_clean_environment():
    return run("env", "-i", "bash", "-c", ECHO, "bash")


@case
def a_clean_environment_and_another_user():
    return run("setpriv", "--reuid=65534", "--clear-groups", "--reset-env", "env", "-i", "bash", "-c", ECHO, "bash")


@case
def perl_in_another_root_as_another_user():
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        r = subprocess.run(["perl", "-e", PERL, ADDRESS, str(PORT), root], capture_output=True, text=True, timeout=60)
        return r.returncode, r.stdout, r.stderr


main()
