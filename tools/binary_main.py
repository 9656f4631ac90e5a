"""The start of the single-file executable: unpack once, into a directory of this user's alone, and run from there.

It runs before anything of the product is there, and says what is wrong even to a Python that is too old: plain words.
"""

import errno
import json
import os
import shutil
import stat
import sys
import tempfile
import zipfile

PROGRAMS = {"heliosdb-cli": "main_sql", "heliosdb-proxy": "main_proxy"}
"""By the name that the file is called by; any other name is heliosdb-nano."""
VARIABLE = "HELIOSDB_UNPACK_DIR"
EXIT_FAILED = 1


def fail(message, hint):
    """End with one line and a hint."""
    sys.stderr.write("error: %s\nhint: %s\n" % (message, hint))
    sys.exit(EXIT_FAILED)


def right_interpreter(build, archive):
    """Go on under the Python that the native code inside was made for, if it is another one and there is one."""
    here = "%d.%d" % sys.version_info[:2]
    machine = "%s-%s" % (sys.platform, os.uname().machine)
    if machine != build["machine"]:
        fail("this file is for %s, and this machine is %s" % (build["machine"], machine), "Make one there: make binary")
    if build["glibc"] and not glibc():
        fail("this file is for systems with glibc", "Use the container image, or install from a checkout: make install")
    if here == build["python"]:
        return
    other = shutil.which("python" + build["python"])
    if other is None:
        fail(
            "this file is for Python %s, and python3 is %s" % (build["python"], here),
            "Install python%s, or make a file for this one: make binary PYTHON=%s" % (build["python"], sys.executable),
        )
    os.execv(other, [other, archive] + sys.argv[1:])


def glibc():
    """Whether the C library is glibc."""
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError, AttributeError):
        return False


def candidates():
    """Where it may be unpacked, the best place first."""
    if os.environ.get(VARIABLE):
        return [os.environ[VARIABLE]]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    places = [base] if os.path.isabs(base) else []
    named = "heliosdb-nano-%d" % os.geteuid()
    return [os.path.join(place, "heliosdb-nano") for place in places] + [os.path.join("/var/tmp", named)]


def private(directory):
    """None when the directory is there and nobody else can put anything into it; else why it is not used."""
    try:
        os.makedirs(os.path.dirname(directory), mode=0o700, exist_ok=True)
        try:
            os.mkdir(directory, 0o700)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        found = os.lstat(directory)
        above = os.stat(os.path.dirname(directory))
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(found.st_mode):
        return "it is no directory"
    if found.st_uid != os.geteuid():
        return "it belongs to another user"
    if found.st_mode & 0o022:
        return "others may write into it"
    if above.st_uid not in (0, os.geteuid()) or (above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX):
        return "others may put another in its place"
    if not os.access(directory, os.W_OK | os.X_OK):
        return "it cannot be written"
    return None


def unpack(archive, build):
    """The directory with the packages, which are unpacked when they are not there yet."""
    reasons = []
    for directory in candidates():
        reason = private(directory)
        target = os.path.join(directory, build["hash"])
        if reason is not None:
            reasons.append("%s: %s" % (directory, reason))
            continue
        if os.path.isdir(target):
            return target
        try:
            return unpacked(archive, directory, target)
        except OSError as error:
            reasons.append("%s: %s" % (directory, error.strerror or error))
    return fail("there is nowhere to unpack to: " + "; ".join(reasons), "Name a directory of your own in " + VARIABLE)


def unpacked(archive, directory, target):
    """Unpack beside the target and give it its name at the end: who sees the name sees everything."""
    aside = tempfile.mkdtemp(prefix=".new-", dir=directory)
    try:
        with zipfile.ZipFile(archive) as outer, outer.open("packages.zip") as inner:
            with zipfile.ZipFile(inner) as packages:
                packages.extractall(aside)
        os.sync()
        try:
            os.rename(aside, target)
        except OSError:
            if not os.path.isdir(target):  # another first start was quicker otherwise
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def main():
    """Run the program that the file is called as."""
    archive = os.path.abspath(sys.path[0])
    with zipfile.ZipFile(archive) as outer:
        build = json.loads(outer.read("build.json").decode())
    right_interpreter(build, archive)
    place = unpack(archive, build)
    sys.path[0] = place
    # Nodes that are started as processes of their own find the packages there too.
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = place + (os.pathsep + inherited if inherited else "")
    import helios_cli.cli

    sys.exit(getattr(helios_cli.cli, PROGRAMS.get(os.path.basename(sys.argv[0]), "main"))())


if __name__ == "__main__":
    main()
