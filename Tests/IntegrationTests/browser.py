"""A person at a browser, for tests: browser.py PICTURE ADDRESS

Headless Chromium opens the address, logs in to django-oauth-toolkit, agrees, and stays until the page behind it is there;
a picture of that page is kept.
"""

import sys

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expect
from selenium.webdriver.support.ui import WebDriverWait

picture, address = sys.argv[1:]
options = webdriver.ChromeOptions()
options.binary_location = "/usr/bin/chromium"
for flag in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=900,600"]:
    options.add_argument(flag)
browser = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
try:
    wait = WebDriverWait(browser, 30)
    browser.get(address)
    wait.until(expect.presence_of_element_located((By.NAME, "username"))).send_keys("person")
    browser.find_element(By.NAME, "password").send_keys("made-up-password")
    browser.find_element(By.TAG_NAME, "button").click()
    wait.until(expect.element_to_be_clickable((By.NAME, "allow"))).click()
    wait.until(expect.title_contains("claviger"))
    browser.save_screenshot(picture)
finally:
    browser.quit()
