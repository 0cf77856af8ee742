/*
 * A stand-in for a FIDO security key: what OpenSSH loads as
 * SecurityKeyProvider (its sk-api, version 10), with a key of software in place
 * of a device. The key handle is the private key itself: for tests only.
 *
 * A signature waits for a touch, 60 s at most: it makes ~/key/waits, and takes
 * ~/key/touch away once that is there.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

enum { GENERAL = -1, UNSUPPORTED = -2 };
enum { ECDSA = 0, ED25519 = 1 };

struct sk_enroll_response {
	uint8_t flags;
	uint8_t *public_key;
	size_t public_key_len;
	uint8_t *key_handle;
	size_t key_handle_len;
	uint8_t *signature;
	size_t signature_len;
	uint8_t *attestation_cert;
	size_t attestation_cert_len;
	uint8_t *authdata;
	size_t authdata_len;
};

struct sk_sign_response {
	uint8_t flags;
	uint32_t counter;
	uint8_t *sig_r;
	size_t sig_r_len;
	uint8_t *sig_s;
	size_t sig_s_len;
};

struct sk_option;
struct sk_resident_key;

uint32_t sk_api_version(void) { return 10 << 16; }

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
	const char *pin, struct sk_option **options, struct sk_enroll_response **response)
{
	EVP_PKEY *key;
	if (alg == ECDSA)
		key = EVP_EC_gen("P-256");
	else if (alg == ED25519)
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		return UNSUPPORTED;
	struct sk_enroll_response *r = calloc(1, sizeof *r);
	if (!key || !r)
		return GENERAL;
	r->flags = flags;
	r->public_key_len = 65; /* an uncompressed point; 32 bytes for Ed25519 */
	r->public_key = malloc(r->public_key_len);
	int ok = r->public_key && (alg == ECDSA
		? EVP_PKEY_get_octet_string_param(key, "encoded-pub-key", r->public_key, r->public_key_len, &r->public_key_len)
		: EVP_PKEY_get_raw_public_key(key, r->public_key, &r->public_key_len));
	int n = i2d_PrivateKey(key, &r->key_handle);
	EVP_PKEY_free(key);
	if (!ok || n <= 0)
		return GENERAL;
	r->key_handle_len = n;
	r->signature = calloc(1, 1);
	r->attestation_cert = calloc(1, 1);
	r->authdata = calloc(1, 1);
	*response = r;
	return 0;
}

static int touched(void)
{
	char waits[512], touch[512];
	const char *home = getenv("HOME");
	if (!home)
		return 0;
	snprintf(waits, sizeof waits, "%s/key/waits", home);
	snprintf(touch, sizeof touch, "%s/key/touch", home);
	FILE *f = fopen(waits, "w");
	if (f)
		fclose(f);
	const struct timespec moment = {0, 20 * 1000 * 1000};
	int ok = 0;
	for (int i = 0; i < 60 * 50 && !ok && getppid() != 1; i++) {
		ok = unlink(touch) == 0;
		nanosleep(&moment, NULL);
	}
	unlink(waits);
	return ok;
}

static int number(const BIGNUM *n, uint8_t **to, size_t *len)
{
	*len = BN_num_bytes(n);
	*to = malloc(*len);
	return *to && BN_bn2bin(n, *to) == (int)*len;
}

static int halves(const uint8_t *sig, size_t len, struct sk_sign_response *r)
{
	ECDSA_SIG *two = d2i_ECDSA_SIG(NULL, &sig, len);
	int ok = two && number(ECDSA_SIG_get0_r(two), &r->sig_r, &r->sig_r_len) && number(ECDSA_SIG_get0_s(two), &r->sig_s, &r->sig_s_len);
	ECDSA_SIG_free(two);
	return ok;
}

/* What is signed: hash of the application, flags, counter, hash of the message. */
static int sign(EVP_PKEY *key, uint32_t alg, const char *application, const uint8_t *message, size_t len, struct sk_sign_response *r)
{
	uint8_t text[SHA256_DIGEST_LENGTH + 5 + SHA256_DIGEST_LENGTH], sig[128], *at = text + SHA256_DIGEST_LENGTH;
	size_t sig_len = sizeof sig;
	SHA256((const uint8_t *)application, strlen(application), text);
	*at++ = r->flags;
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = r->counter >> shift;
	SHA256(message, len, at);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx && EVP_DigestSignInit(ctx, NULL, alg == ECDSA ? EVP_sha256() : NULL, NULL, key) == 1
		&& EVP_DigestSign(ctx, sig, &sig_len, text, sizeof text) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok || alg == ECDSA)
		return ok && halves(sig, sig_len, r);
	r->sig_r_len = sig_len;
	return (r->sig_r = malloc(sig_len)) && memcpy(r->sig_r, sig, sig_len);
}

int sk_sign(uint32_t alg, const uint8_t *message, size_t message_len, const char *application,
	const uint8_t *key_handle, size_t key_handle_len, uint8_t flags,
	const char *pin, struct sk_option **options, struct sk_sign_response **response)
{
	if (!touched())
		return GENERAL;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &key_handle, key_handle_len);
	struct sk_sign_response *r = calloc(1, sizeof *r);
	if (!key || !r)
		return GENERAL;
	r->flags = flags & 1; /* a person was there */
	r->counter = time(NULL);
	int ok = sign(key, alg, application, message, message_len, r);
	EVP_PKEY_free(key);
	*response = r;
	return ok ? 0 : GENERAL;
}

int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***keys, size_t *count)
{
	return UNSUPPORTED;
}
