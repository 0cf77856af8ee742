# A kernelspec is a directory of its own: nothing else goes with it.
r_parent=${R_DIR%/*}
if [ -h "$R_DIR" ]; then
	fail usage "remove kernel $R_NAME: $R_DIR is a link to somewhere else" "rm $R_DIR"
elif [ ! -d "$R_DIR" ]; then
	fail not-found "remove kernel $R_NAME: $R_DIR is not there any more"
elif [ ! -f "$R_DIR/kernel.json" ]; then
	fail usage "remove kernel $R_NAME: $R_DIR holds no kernel.json, so it is none"
elif [ ! -O "$R_DIR" ]; then
	fail refused "remove kernel $R_NAME: $R_DIR belongs to somebody else" "ls -ld $R_DIR"
elif [ ! -w "$r_parent" ]; then
	fail refused "remove kernel $R_NAME: $r_parent cannot be written" "ls -ld $r_parent"
fi
# In one step, so that no Jupyter sees half of it.
r_gone=$r_parent/nbremote-trial-$R_NONCE
r_why=$(mv -- "$R_DIR" "$r_gone" 2>&1) || fail missing "remove kernel $R_NAME: ${r_why##*: }" "ls -ld $R_DIR"
rm -rf -- "$r_gone"
[ ! -e "$r_gone" ] || fail missing "remove kernel $R_NAME: parts of it stay in $r_gone" "ls -lR $r_gone"
