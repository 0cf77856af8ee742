nbr_restore() {
	PATH=$NBR_PATH
	if [ -n "$NBR_LC_SET" ]; then LC_ALL=$NBR_LC; else unset LC_ALL; fi
	umask "$NBR_UMASK"
	unset NBR_PATH NBR_LC NBR_LC_SET NBR_UMASK NBR_DATA NBR_HOST NBR_NODE NBR_RUN NBR_UID NBR_LINGER NBR_BOOT
}

# NBR_T counts tenths of seconds: waits are measured by it, not by a clock that may jump.
nap() {
	if sleep 0.1 2>/dev/null; then NBR_T=$((NBR_T + 1)); else sleep 1; NBR_T=$((NBR_T + 10)); fi
}
