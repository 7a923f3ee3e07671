/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/backends/support.h"

#include "backends/s3_error.h"
#include "backends/s3_xml.h"
#include "backends/xml.h"

#define BARE(inner)	"<ListBucketResult>" inner "</ListBucketResult>"
#define PAGE(inner)	"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\">" inner "</ListBucketResult>"
#define OBJECT(k, size) "<Contents><Key>" k "</Key><Size>" size "</Size></Contents>"

static int page_of(const char *text, struct page *page)
{
	return s3_xml_page(text, strlen(text), page);
}

static void reads_a_page(void **state)
{
	struct page page;

	(void)state;
	assert_int_equal(
		page_of(PAGE("<Name>office</Name><Prefix>p/</Prefix><IsTruncated>true</IsTruncated>"
			     "<EncodingType>url</EncodingType><NextContinuationToken>a&amp;b+/=</NextContinuationToken>"
			     "<Contents><Key>p/3f+x%2By%C3%BC</Key>"
			     "<LastModified>2009-10-12T17:50:30.250Z</LastModified><ETag>&quot;e&quot;</ETag>"
			     "<Size>4194304</Size><Owner><ID>Key</ID><Size>1</Size></Owner></Contents>"
			     "<Contents>\n <Key>p/4</Key>\n "
			     "<LastModified>today</LastModified><Size>0</Size></Contents>"
			     "<Contents><Key>p/5</Key><LastModified>1004-10-12T17:50:30Z</LastModified><Size>0</Size>"
			     "</Contents><Contents><Key>p/6</Key><LastModified>9999-10-12T17:50:30Z</LastModified>"
			     "<Size>0</Size></Contents>"),
			&page),
		0);
	assert_int_equal(page.count, 4);
	assert_int_equal(page.objects[2].mtime_ns, 0); /* not a time that 64 bits hold */
	assert_int_equal(page.objects[3].mtime_ns, 0);
	assert_true(page.truncated);
	assert_string_equal(page.token, "a&b+/=");
	assert_string_equal(page.objects[0].key, "p/3f x+y\xc3\xbc");
	assert_int_equal(page.objects[0].size, 4194304);
	assert_int_equal(page.objects[0].mtime_ns, 1255369830250000000);
	assert_string_equal(page.objects[1].key, "p/4");
	assert_int_equal(page.objects[1].size, 0);
	assert_int_equal(page.objects[1].mtime_ns, 0);
	page_free(&page);
}

static void leaves_keys_alone_that_are_not_encoded(void **state)
{
	struct page page;

	(void)state;
	assert_int_equal(page_of(PAGE(OBJECT("a+b%41", "3")), &page), 0);
	assert_int_equal(page.count, 1);
	assert_string_equal(page.objects[0].key, "a+b%41");
	assert_false(page.truncated);
	page_free(&page);
}

#define URL "<EncodingType>url</EncodingType>"
#define LOL                                                                                                            \
	"<!DOCTYPE z [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c "                   \
	"\"&b;&b;&b;&b;\">]>"

static const char *const bad_pages[] = {
	"",
	"not xml",
	"<html><body>404</body></html>",
	"<Error><Code>NoSuchBucket</Code></Error>",
	"<ListBucketResult>",
	"<ListBucketResult></ListBucketResult>trailing",
	PAGE("<Contents><Key>a</Key></Contents>"),			 /* no size */
	PAGE("<Contents><Size>1</Size></Contents>"),			 /* no key */
	PAGE(OBJECT("a", "")),						 /* no number */
	PAGE(OBJECT("a", "-1")),					 /* negative */
	PAGE(OBJECT("a", "1x")),					 /* not a number */
	PAGE(OBJECT("a", "9223372036854775808")),			 /* past INT64_MAX */
	PAGE(OBJECT("a", "99999999999999999999999")),			 /* past UINT64_MAX */
	PAGE("<IsTruncated>true</IsTruncated>"),			 /* no token */
	PAGE("<IsTruncated>true</IsTruncated><NextContinuationToken/>"), /* empty token */
	PAGE(URL OBJECT("a%", "1")),					 /* cut escape */
	PAGE(URL OBJECT("a%4", "1")),
	PAGE(URL OBJECT("a%zz", "1")),
	PAGE(URL OBJECT("a%00b", "1")), /* a NUL would hide the rest */
	PAGE("<a><b><c><d><e><f><g><h>deep</h></g></f></e></d></c></b></a>"),
	PAGE("<n123456789012345678901234567890123456789012345678901234567890123456789/>"),
	"<!DOCTYPE ListBucketResult>" BARE(""),
	LOL BARE(OBJECT("&c;", "1")),
	"<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>" BARE(OBJECT("&f;", "1")),
	"<!DOCTYPE x SYSTEM \"http://127.0.0.1/x.dtd\">" BARE(""),
	PAGE(OBJECT("&unknown;", "1")),
	PAGE(OBJECT("\xff\xfe", "1")), /* not UTF-8 */
	PAGE("<Contents><Key>a</Key><Size>1</Contents></Size>"),
};

static void refuses_bad_pages(void **state)
{
	struct page page;

	(void)state;
	for (size_t i = 0; i < COUNT(bad_pages); i++) {
		int rc = page_of(bad_pages[i], &page);

		if (rc != -ERR_PROTOCOL)
			fail_msg("%s for %s", err_name(rc), bad_pages[i]);
		page_free(&page);
	}
}

static void bounds_values_and_documents(void **state)
{
	struct buf long_key = BUF_INIT, large = BUF_INIT;
	struct page page;

	(void)state;
	buf_str(&long_key, "<ListBucketResult><Contents><Key>");
	for (int i = 0; i < 8193; i++)
		buf_str(&long_key, "k");
	buf_str(&long_key, "</Key><Size>1</Size></Contents></ListBucketResult>");
	assert_int_equal(s3_xml_page(long_key.data, long_key.len, &page), -ERR_PROTOCOL);
	page_free(&page);
	buf_reserve(&large, XML_BYTES_MAX + 1);
	memset(large.data, ' ', XML_BYTES_MAX + 1);
	assert_int_equal(s3_xml_page(large.data, XML_BYTES_MAX + 1, &page), -ERR_PROTOCOL);
	page_free(&page);
	buf_free(&long_key);
	buf_free(&large);
}

static void reads_errors(void **state)
{
	static const struct {
		const char *text, *code, *message, *endpoint;
		int rc;
	} rows[] = {
		{ "<Error><Code>NoSuchKey</Code><Message>gone</Message><Key>k</Key></Error>", "NoSuchKey", "gone", "",
			0 },
		{ "<?xml version='1.0' encoding='UTF-8'?><Error><Endpoint>s3-eu.example</Endpoint>"
		  "<Code>PermanentRedirect</Code></Error>",
			"PermanentRedirect", "", "s3-eu.example", 0 },
		{ "<Error><Code>X</Code><Message>a\x1b[2Jb\xc3\xbc</Message></Error>", NULL, NULL, NULL, 1 },
		{ "<Error><Code>X</Code><Message>a\tb\xc3\xbc</Message></Error>", "X", "a?b??", "", 0 },
		{ "<Error><Detail><Code>Inner</Code></Detail></Error>", NULL, NULL, NULL, 1 },
		{ "<Error/>", NULL, NULL, NULL, 1 },
		{ "<error><Code>NoSuchKey</Code></error>", NULL, NULL, NULL, 1 },
		{ "404 page not found", NULL, NULL, NULL, 1 },
		{ "", NULL, NULL, NULL, 1 },
	};
	struct s3_error e;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(s3_xml_error(rows[i].text, strlen(rows[i].text), &e), rows[i].rc ? -ERR_PROTOCOL : 0);
		assert_string_equal(e.code, rows[i].rc ? "" : rows[i].code);
		assert_string_equal(e.message, rows[i].rc ? "" : rows[i].message);
		assert_string_equal(e.endpoint, rows[i].rc ? "" : rows[i].endpoint);
	}
}

static int upload_id(const char *text, char **id)
{
	return s3_xml_upload_id(text, strlen(text), id);
}

static int completed(const char *text)
{
	return s3_xml_completed(text, strlen(text));
}

static void reads_multipart_answers(void **state)
{
	struct buf out = BUF_INIT;
	char *id;

	(void)state;
	assert_int_equal(upload_id("<InitiateMultipartUploadResult><Key>k</Key><UploadId>2~a&lt;</UploadId>"
				   "</InitiateMultipartUploadResult>",
				 &id),
		0);
	assert_string_equal(id, "2~a<");
	free(id);
	assert_int_equal(upload_id("<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>", &id),
		-ERR_PROTOCOL);
	assert_null(id);
	assert_int_equal(upload_id("<Other><UploadId>x</UploadId></Other>", &id), -ERR_PROTOCOL);
	assert_int_equal(completed("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"), 0);
	assert_int_equal(completed("<Error><Code>InternalError</Code></Error>"), -ERR_PROTOCOL);
	assert_int_equal(completed("  "), -ERR_PROTOCOL);
	s3_xml_part(&out, 2, "\"a<&>\"");
	assert_string_equal(
		(char *)out.data, "<Part><PartNumber>2</PartNumber><ETag>&quot;a&lt;&amp;&gt;&quot;</ETag></Part>");
	buf_free(&out);
}

static void maps_errors(void **state)
{
	static const struct {
		int status;
		const char *code;
		int rc;
	} rows[] = {
		{ 404, "NoSuchKey", -ERR_ABSENT },
		{ 404, "NoSuchBucket", -ERR_NO_BUCKET },
		{ 404, "", -ERR_PROTOCOL }, /* I7: anybody on the way can say so */
		{ 404, "NoSuchUpload", -ERR_PROTOCOL },
		{ 200, "NoSuchKey", -ERR_PROTOCOL }, /* code and status disagree */
		{ 403, "NoSuchKey", -ERR_PROTOCOL },
		{ 403, "AccessDenied", -ERR_DENIED },
		{ 400, "AccessDenied", -ERR_DENIED }, /* Swift, for nobody */
		{ 403, "SignatureDoesNotMatch", -ERR_DENIED },
		{ 403, "InvalidAccessKeyId", -ERR_DENIED },
		{ 403, "UserSuspended", -ERR_DENIED },
		{ 403, "", -ERR_DENIED },
		{ 401, "", -ERR_DENIED },
		{ 403, "RequestTimeTooSkewed", -ERR_CLOCK },
		{ 403, "QuotaExceeded", -ERR_QUOTA },
		{ 507, "", -ERR_QUOTA },
		{ 503, "SlowDown", -ERR_BUSY },
		{ 503, "", -ERR_BUSY },
		{ 429, "", -ERR_BUSY },
		{ 500, "InternalError", -ERR_SERVER },
		{ 200, "InternalError", -ERR_SERVER }, /* a completion that failed after its status was sent */
		{ 500, "", -ERR_SERVER },
		{ 502, "", -ERR_SERVER },
		{ 504, "", -ERR_SERVER },
		{ 400, "RequestTimeout", -ERR_TIMEOUT },
		{ 400, "XAmzContentSHA256Mismatch", -ERR_SERVER },
		{ 301, "PermanentRedirect", -ERR_REDIRECT },
		{ 412, "PreconditionFailed", -ERR_EXISTS },
		{ 501, "NotImplemented", -ERR_PROTOCOL },
		{ 400, "InvalidArgument", -ERR_PROTOCOL },
		{ 416, "InvalidRange", -ERR_TAMPERED },
		{ 400, "InvalidRange", -ERR_PROTOCOL },
		{ 416, "", -ERR_PROTOCOL },
		{ 418, "", -ERR_PROTOCOL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (s3_error_from(rows[i].status, rows[i].code) != rows[i].rc)
			fail_msg("%d %s: %s", rows[i].status, rows[i].code,
				err_name(s3_error_from(rows[i].status, rows[i].code)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_page),
		cmocka_unit_test(leaves_keys_alone_that_are_not_encoded),
		cmocka_unit_test(refuses_bad_pages),
		cmocka_unit_test(bounds_values_and_documents),
		cmocka_unit_test(reads_errors),
		cmocka_unit_test(reads_multipart_answers),
		cmocka_unit_test(maps_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
